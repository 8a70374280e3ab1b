-- name: playbooks
-- path: /api/playbooks, /api/playbook
-- scope: user
-- collection: user:{U}:playbooks:all
-- ttl: 3600
-- tags: playbooks
-- cursor: id integer
-- params:
--   limit   integer 1..500|all = 100
--   offset  integer 0..10000000 = 0

SELECT id, name, description, icon, emoji, color, rules, created_at, updated_at
FROM pnlcache.playbook_list
WHERE user_id = :user
  AND (:after_id IS NULL OR id > :after_id)
ORDER BY id
LIMIT :limit OFFSET :offset
