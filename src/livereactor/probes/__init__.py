"""Reading figures from pictures: barcode, what came when, percentiles; and what `livereactor bench` asks a server."""
