-- name: notebook-tags
-- path: /api/notebook/tags
-- scope: user
-- ttl: 600
-- tags: notebook
-- cursor: name text, id integer
-- params:
--   limit   integer 1..500|all = 100
--   offset  integer 0..10000000 = 0

SELECT id, name, color, created_at, updated_at
FROM pnlcache.notebook_tags
WHERE user_id = :user
  AND (:after_id IS NULL OR (name, id) > (:after_name, :after_id))
ORDER BY name, id
LIMIT :limit OFFSET :offset
