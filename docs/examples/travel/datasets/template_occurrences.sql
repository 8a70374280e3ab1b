-- name: template-occurrences
-- path: /api/templates/{template}/occurrences
-- scope: shared
-- ttl: 300
-- tags: occurrences
-- params:
--   template  integer 1..2147483647
--   from      date

SELECT id, starts_on, seats_left
FROM travel.occurrences
WHERE template_id = :template AND (:from IS NULL OR starts_on >= :from)
ORDER BY starts_on, id
