"""What a connection measures of itself."""
