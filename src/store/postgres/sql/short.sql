-- One message and so one transaction, whatever the session's defaults are; nothing of it outlives
-- the message, so it fits any pooler that keeps a transaction on one connection.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = {lock_timeout};
