-- name: notebook-notes
-- path: /api/notebook/notes
-- scope: user
-- collection: user:{U}:notebook:all
-- ttl: 600
-- tags: notebook
-- cursor: position integer, id integer
-- params:
--   parent_id       integer 1..9223372036854775807
--   tag_id          integer 1..9223372036854775807
--   top_only        boolean = false
--   search          text
--   limit           integer 1..500|all = 100
--   offset          integer 0..10000000 = 0

SELECT id, parent_id, title, content, position, tag_ids, created_at, updated_at
FROM pnlcache.notebook_notes
WHERE user_id = :user
  AND (:parent_id IS NULL OR parent_id = :parent_id)
  AND (:tag_id IS NULL OR :tag_id = ANY (tag_ids))
  AND (NOT :top_only OR parent_id IS NULL)
  AND (:search IS NULL OR position(lower(:search) IN lower(title)) > 0 OR position(lower(:search) IN lower(content)) > 0)
  AND (:after_id IS NULL OR (position, id) > (:after_position, :after_id))
ORDER BY position, id
LIMIT :limit OFFSET :offset
