-- name: playbook
-- path: /api/playbooks/{id}, /api/playbook/{id}
-- scope: user
-- ttl: 3600
-- tags: playbooks
-- returns: row
-- params:
--   id  integer 1..9223372036854775807

SELECT id, name, description, icon, emoji, color, rules, created_at, updated_at
FROM pnlcache.playbook_list
WHERE user_id = :user AND id = :id
