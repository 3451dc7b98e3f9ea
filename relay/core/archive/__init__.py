"""What the archive of outputs decides: which addresses may be read, what a file is, and what becomes of a job."""
