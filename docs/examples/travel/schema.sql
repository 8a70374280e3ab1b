-- A travel site's tables, as small as they can be: for the dataset files beside this one. Apply sql/10 and sql/20 of pnlcache first.
CREATE SCHEMA travel;
CREATE TABLE travel.locations (id integer PRIMARY KEY, name text NOT NULL, country text NOT NULL);
CREATE TABLE travel.trip_types (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE travel.tags (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE travel.companies (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE travel.guides (id integer PRIMARY KEY, company_id integer NOT NULL REFERENCES travel.companies, name text NOT NULL, languages text[] NOT NULL DEFAULT '{}');
CREATE TABLE travel.templates (
    id integer PRIMARY KEY, guide_id integer NOT NULL REFERENCES travel.guides, location_id integer NOT NULL REFERENCES travel.locations,
    trip_type_id integer NOT NULL REFERENCES travel.trip_types, title text NOT NULL, days integer NOT NULL, price numeric(10,2) NOT NULL
);
CREATE INDEX ON travel.templates (guide_id);
CREATE TABLE travel.template_tags (template_id integer REFERENCES travel.templates ON DELETE CASCADE, tag_id integer REFERENCES travel.tags, PRIMARY KEY (template_id, tag_id));
CREATE TABLE travel.occurrences (id integer PRIMARY KEY, template_id integer NOT NULL REFERENCES travel.templates, starts_on date NOT NULL, seats_left integer NOT NULL);
CREATE INDEX ON travel.occurrences (template_id, starts_on);

GRANT USAGE ON SCHEMA travel TO pnlcache;
GRANT SELECT ON ALL TABLES IN SCHEMA travel TO pnlcache;

-- Reference data change rarely and by hand: triggers tell of them. A trigger tells of the whole tag; of guides, templates and occurrences
-- the application tells by events with the id, so that the others' answers stay.
CALL pnlcache.watch_table('travel.locations', 'locations', NULL);
CALL pnlcache.watch_table('travel.trip_types', 'trip-types', NULL);
CALL pnlcache.watch_table('travel.tags', 'trip-tags', NULL);
