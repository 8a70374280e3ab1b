-- A few rows to try the dataset files with.
INSERT INTO travel.locations VALUES (1, 'Bergen', 'NO'), (2, 'Athens', 'GR');
INSERT INTO travel.trip_types VALUES (1, 'hike'), (2, 'city');
INSERT INTO travel.tags VALUES (1, 'fjord'), (2, 'food'), (3, 'art');
INSERT INTO travel.companies VALUES (1, 'North'), (2, 'South');
INSERT INTO travel.guides VALUES (7, 1, 'Ada', '{en,no}'), (8, 2, 'Bo', '{en}');
INSERT INTO travel.templates VALUES (70, 7, 1, 1, 'Fjords', 3, 300), (71, 7, 1, 2, 'Bergen by foot', 1, 50.50), (80, 8, 2, 2, 'Museums', 2, 120);
INSERT INTO travel.template_tags VALUES (70, 1), (71, 2), (80, 2), (80, 3);
INSERT INTO travel.occurrences VALUES (700, 70, '2030-06-01', 5), (701, 70, '2030-07-01', 8), (800, 80, '2030-06-01', 2);
