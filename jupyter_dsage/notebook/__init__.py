"""What a person sees in IPython and Jupyter: the magics `%%scatter` and `%dsage`, and the view of a batch."""
