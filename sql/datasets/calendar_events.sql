-- name: calendar-events
-- path: /api/notebook/calendar/events
-- scope: user
-- collection: user:{U}:calendar:all
-- ttl: 300
-- tags: calendar, settings
-- cursor: start_date date, start_time text, source text, id integer
-- params:
--   start   date
--   end     date
--   limit   integer 1..500|all = 100
--   offset  integer 0..10000000 = 0

-- Whole days come before what has a time.
SELECT id, source, reminder_id, connection_id, external_event_id, event_title, event_description, start_date, end_date, start_time, end_time,
       is_all_day, is_synced, location, created_at, updated_at
FROM pnlcache.calendar_events
WHERE user_id = :user
  AND (:start IS NULL OR end_date >= :start)
  AND (:end IS NULL OR start_date <= :end)
  AND (:after_id IS NULL OR (start_date, coalesce(start_time, ''), source, id)
       > (:after_start_date, coalesce(:after_start_time, ''), :after_source, :after_id))
ORDER BY start_date, coalesce(start_time, ''), source, id
LIMIT :limit OFFSET :offset
