"""What a Projection does, in words and in the SQL and Python that run: `projector explain`."""
