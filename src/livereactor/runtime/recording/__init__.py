"""Recording a Session as its viewers see and hear it, in Segments of a second, and Clips cut from it."""
