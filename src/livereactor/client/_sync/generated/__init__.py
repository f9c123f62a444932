"""The generated classes of the synchronous client."""
