"""The engine: networks trained, described and differentiated through, fast and to the same bits on any machine."""
