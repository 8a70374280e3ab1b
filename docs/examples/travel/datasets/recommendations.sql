-- name: recommendations
-- path: /api/recommendations
-- methods: get, post
-- scope: shared
-- ttl: 600
-- tags: templates, trip-tags
-- depends-on: guide
-- params:
--   tags        list 20 text 40
--   locations   list 20 integer 1..2147483647
--   max_price   decimal 0..99999999
--   max_days    integer 1..365
--   limit       integer 1..50 = 10

-- By the number of tags in common. The key is the hash of the body's members, in whatever order they come.
SELECT t.id, t.title, t.days, t.price, g.name AS guide, count(a.id) AS matches
FROM travel.templates AS t
JOIN travel.guides AS g ON g.id = t.guide_id
LEFT JOIN travel.template_tags AS x ON x.template_id = t.id
LEFT JOIN travel.tags AS a ON a.id = x.tag_id AND a.name = ANY (:tags)
WHERE (:locations IS NULL OR t.location_id = ANY (:locations))
  AND (:max_price IS NULL OR t.price <= :max_price) AND (:max_days IS NULL OR t.days <= :max_days)
GROUP BY t.id, g.name
ORDER BY count(a.id) DESC, t.price, t.id
LIMIT :limit
