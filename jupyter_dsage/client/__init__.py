"""The kernel's side: sessions, batches, jobs. One background I/O thread; futures are its only output."""
