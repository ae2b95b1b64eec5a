"""From a finished run and a scan to a mask."""
