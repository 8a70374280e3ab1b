-- name: calendar-connections
-- path: /api/notebook/calendar/connections
-- scope: user
-- ttl: 300
-- tags: calendar
-- cursor: id integer
-- params:
--   limit   integer 1..500|all = 100
--   offset  integer 0..10000000 = 0

SELECT id, provider, calendar_id, is_active, token_expiry, last_sync_timestamp, created_at, updated_at
FROM pnlcache.calendar_connections
WHERE user_id = :user
  AND (:after_id IS NULL OR id > :after_id)
ORDER BY id
LIMIT :limit OFFSET :offset
