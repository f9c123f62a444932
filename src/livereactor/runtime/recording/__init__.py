"""Recording a Session: what its viewers see and hear, in Segments of a second, and Clips cut from it (behaviour 23)."""
