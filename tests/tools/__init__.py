"""What tests and bench programs steer and read with: processes, namespace, drivers of official clients."""
