"""What each page shows: from a project to a context, one module and one template for each."""
