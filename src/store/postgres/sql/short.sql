-- One message and so one transaction, whatever the session's defaults are; nothing of it outlives
-- the message, so it fits any pooler that keeps a transaction on one connection. Its waits end before
-- the layer's does, so that an answer has a hearer and no server process is left behind.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = {lock_timeout};
SET LOCAL statement_timeout = {statement_timeout};
