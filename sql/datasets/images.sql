-- name: images
-- path: /api/images
-- scope: user
-- collection: user:{U}:images:all
-- ttl: 3600
-- tags: images
-- cursor: created_at time, id integer
-- params:
--   trade_note_id   integer 1..9223372036854775807
--   mime_type       text
--   limit           integer 1..500|all = 100
--   offset          integer 0..10000000 = 0

SELECT id, trade_note_id, uploadcare_file_id, original_filename, mime_type, file_size, width, height, alt_text, caption,
       position_in_note, created_at, updated_at
FROM pnlcache.images
WHERE user_id = :user
  AND (:trade_note_id IS NULL OR trade_note_id = :trade_note_id)
  AND (:mime_type IS NULL OR lower(mime_type) = lower(:mime_type))
  AND (:after_id IS NULL OR (created_at, id) < (:after_created_at, :after_id))
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset
