-- name: notebook-reminders
-- path: /api/notebook/reminders
-- scope: user
-- ttl: 600
-- tags: notebook
-- cursor: reminder_time time, id integer
-- params:
--   note_id         integer 1..9223372036854775807
--   is_completed    boolean
--   start           time
--   end             time
--   limit           integer 1..500|all = 100
--   offset          integer 0..10000000 = 0

SELECT id, note_id, title, description, reminder_time, is_completed, created_at, updated_at
FROM pnlcache.notebook_reminders
WHERE user_id = :user
  AND (:note_id IS NULL OR note_id = :note_id)
  AND (:is_completed IS NULL OR is_completed = :is_completed)
  AND (:start IS NULL OR reminder_time >= :start)
  AND (:end IS NULL OR reminder_time < :end)
  AND (:after_id IS NULL OR (reminder_time, id) > (:after_reminder_time, :after_id))
ORDER BY reminder_time, id
LIMIT :limit OFFSET :offset
