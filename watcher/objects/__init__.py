"""What an object is to us: reference, cleaning, YAML. Pure: no I/O at all."""
