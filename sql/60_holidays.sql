-- Holidays. Those of the United States are computed by rule for 2000 to 2035: `market`, when the New York Stock Exchange is closed, and
-- `public`, the federal holidays as observed. Other countries' are rows of public.holidays.

CREATE TABLE IF NOT EXISTS public.holidays (
    country text COLLATE "C" NOT NULL CHECK (country ~ '^[A-Z]{2}$' AND country <> 'US'),
    date date NOT NULL CHECK (isfinite(date)),
    name text NOT NULL CHECK (name <> ''),
    kind text COLLATE "C" NOT NULL DEFAULT 'public' CHECK (kind IN ('market', 'public')),
    PRIMARY KEY (country, date, kind, name)
);
COMMENT ON TABLE public.holidays IS 'holidays of countries other than the US, whose are computed';

-- Easter Sunday of the Gregorian calendar (the anonymous algorithm of 1876).
CREATE OR REPLACE FUNCTION pnlcache.easter(year integer) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT make_date(year, (h + l - 7 * m + 114) / 31, (h + l - 7 * m + 114) % 31 + 1)
    FROM (SELECT year % 19 AS a, year / 100 AS b, year % 100 AS c) AS one,
         LATERAL (SELECT (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30 AS h) AS two,
         LATERAL (SELECT (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7 AS l) AS three,
         LATERAL (SELECT (a + 11 * h + 22 * l) / 451 AS m) AS four
$$;

-- The n-th such weekday (0 = Sunday) of a month.
CREATE OR REPLACE FUNCTION pnlcache.nth_weekday(year integer, month integer, weekday integer, n integer) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT first + (weekday - extract(dow FROM first)::integer + 7) % 7 + 7 * (n - 1)
    FROM (SELECT make_date(year, month, 1) AS first) AS m
$$;

-- A holiday on a Saturday is kept on the Friday before, one on a Sunday on the Monday after.
CREATE OR REPLACE FUNCTION pnlcache.observed(holiday date) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT holiday + CASE extract(dow FROM holiday) WHEN 6 THEN -1 WHEN 0 THEN 1 ELSE 0 END
$$;

-- The exchange keeps New Year's Day on no Friday: the year's books are closed that day. Juneteenth: the exchange since 2022, federal
-- since 2021. The unscheduled closures of whole days: attacks of 2001, mourning of presidents, a hurricane.
CREATE OR REPLACE FUNCTION pnlcache.us_holidays(first_year integer, last_year integer)
RETURNS TABLE (date date, name text, kind text)
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.date, h.name, k.kind
    FROM generate_series(first_year, last_year) AS y,
         LATERAL (VALUES
             (pnlcache.nth_weekday(y, 1, 1, 3), 'Martin Luther King Jr. Day', true, true),
             (pnlcache.nth_weekday(y, 2, 1, 3), 'Washington''s Birthday', true, true),
             (pnlcache.easter(y) - 2, 'Good Friday', true, false),
             (pnlcache.nth_weekday(y, 6, 1, 1) - 7, 'Memorial Day', true, true),
             (pnlcache.observed(make_date(y, 6, 19)), 'Juneteenth', y >= 2022, y >= 2021),
             (pnlcache.observed(make_date(y, 7, 4)), 'Independence Day', true, true),
             (pnlcache.nth_weekday(y, 9, 1, 1), 'Labor Day', true, true),
             (pnlcache.nth_weekday(y, 10, 1, 2), 'Columbus Day', false, true),
             (pnlcache.observed(make_date(y, 11, 11)), 'Veterans Day', false, true),
             (pnlcache.nth_weekday(y, 11, 4, 4), 'Thanksgiving Day', true, true),
             (pnlcache.observed(make_date(y, 12, 25)), 'Christmas Day', true, true),
             (pnlcache.observed(make_date(y, 1, 1)), 'New Year''s Day', extract(dow FROM make_date(y, 1, 1)) <> 6, true)
         ) AS h (date, name, market, public),
         LATERAL (VALUES ('market', h.market), ('public', h.public)) AS k (kind, holds)
    WHERE k.holds
    UNION ALL
    SELECT c.date, c.name, 'market'
    FROM (VALUES (date '2001-09-11', 'Closed after the attacks'), ('2001-09-12', 'Closed after the attacks'),
                 ('2001-09-13', 'Closed after the attacks'), ('2001-09-14', 'Closed after the attacks'),
                 ('2004-06-11', 'Mourning of Ronald Reagan'), ('2007-01-02', 'Mourning of Gerald Ford'),
                 ('2012-10-29', 'Hurricane Sandy'), ('2012-10-30', 'Hurricane Sandy'),
                 ('2018-12-05', 'Mourning of George H. W. Bush'), ('2025-01-09', 'Mourning of Jimmy Carter')) AS c (date, name)
    WHERE extract(year FROM c.date) BETWEEN first_year AND last_year
$$;

CREATE OR REPLACE VIEW pnlcache.holidays AS
SELECT 'US'::text COLLATE "C" AS country, date, name, kind FROM pnlcache.us_holidays(2000, 2035)
WHERE date >= '2000-01-01' -- New Year's Day of 2000 was observed the year before
UNION ALL
SELECT country, date, name, kind FROM public.holidays;

-- A view's functions run with the caller's rights.
GRANT EXECUTE ON FUNCTION pnlcache.us_holidays(integer, integer), pnlcache.easter(integer), pnlcache.observed(date),
    pnlcache.nth_weekday(integer, integer, integer, integer) TO pnlcache;
GRANT SELECT ON pnlcache.holidays TO pnlcache;
CALL pnlcache.watch_table('public.holidays', 'holidays', NULL);
