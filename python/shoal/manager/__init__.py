"""Carries out what a strategy decides: feeds it reports, orders workers, keeps the journal and the snapshots."""
