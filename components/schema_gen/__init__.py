"""What examples must look like."""
