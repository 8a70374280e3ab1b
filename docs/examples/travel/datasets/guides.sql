-- name: guides
-- path: /api/guides
-- scope: shared
-- ttl: 600
-- tags: guides
-- params:
--   company   integer 1..2147483647
--   language  text 20
--   limit     integer 1..500 = 100
--   offset    integer 0..1000000 = 0

SELECT id, name, languages, company_id
FROM travel.guides
WHERE (:company IS NULL OR company_id = :company) AND (:language IS NULL OR :language = ANY (languages))
ORDER BY name, id LIMIT :limit OFFSET :offset
