-- name: notebook-templates
-- path: /api/notebook/templates
-- scope: user
-- ttl: 600
-- tags: notebook
-- cursor: created_at time, id integer
-- params:
--   limit   integer 1..500|all = 100
--   offset  integer 0..10000000 = 0

SELECT id, name, content, description, created_at, updated_at
FROM pnlcache.notebook_templates
WHERE user_id = :user
  AND (:after_id IS NULL OR (created_at, id) < (:after_created_at, :after_id))
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset
