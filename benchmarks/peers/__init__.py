"""The contestants: one module a library, which imports it and writes each problem as the library's own users would."""
