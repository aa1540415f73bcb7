"""Arrays to numbers: landscapes, statistics, collective coordinates, physical validity. No torch."""
