"""The processes that run jobs: the supervisor, which forks and watches, and the workers it forks."""
