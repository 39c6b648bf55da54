"""What code depends on; suites, statistics, verdict, report; replay of recorded traffic; promotion."""
