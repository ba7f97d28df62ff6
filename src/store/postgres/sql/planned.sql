-- A plan is kept for longer than the table stays small enough to be read as a whole.
SET LOCAL enable_seqscan = off;
