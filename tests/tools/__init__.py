"""What tests and bench programs steer and read with: barcode, processes, namespace, drivers of official clients."""
