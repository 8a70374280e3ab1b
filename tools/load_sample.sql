-- Loads csv_to_copy.py's stream into the journal's tables, all of it or nothing. For load_sample.sh:
-- psql variables shift (on or off). Standard input is the stream.
--
-- The rows pass through temporary twins of the tables, with the same constraints: what is wrong with a line is
-- said by the very rules that guard the journal. The syntax is checked first, because PostgreSQL reads more
-- than the CSV form allows ('yesterday', '1e3', 'on').

\set QUIET on
\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\encoding UTF8
\pset tuples_only on
\pset format unaligned

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC'; -- a time without offset is UTC
SET LOCAL DateStyle = 'ISO, YMD';

CREATE TEMP TABLE csv_lines (file text, line integer, reason text, fields jsonb) ON COMMIT DROP;
CREATE TEMP TABLE bad_lines (file text, line integer, reason text, PRIMARY KEY (file, line)) ON COMMIT DROP;
CREATE TEMP TABLE new_stocks (LIKE public.stocks INCLUDING ALL, csv_line integer) ON COMMIT DROP;
CREATE TEMP TABLE new_options (LIKE public.options INCLUDING ALL, csv_line integer) ON COMMIT DROP;
CREATE TEMP TABLE new_daily_bars (LIKE public.daily_bars INCLUDING ALL, csv_line integer) ON COMMIT DROP;
CREATE TEMP TABLE new_latest_price (LIKE public.latest_price INCLUDING ALL, csv_line integer) ON COMMIT DROP;

\copy csv_lines FROM pstdin

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM csv_lines WHERE file = '') THEN
        RAISE EXCEPTION 'the CSV files were not read to their end';
    END IF;
END
$$;
INSERT INTO bad_lines SELECT file, line, reason FROM csv_lines WHERE reason IS NOT NULL;
CREATE INDEX ON csv_lines (file, line);
ANALYZE csv_lines;

-- The columns of a table, and the syntax of each one's cells.
CREATE FUNCTION pg_temp.columns_of(target regclass)
RETURNS TABLE (name text, number smallint, type text, default_value text, pattern text, expected text) LANGUAGE sql AS $$
SELECT a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid),
       CASE a.atttypid
           WHEN 'numeric'::regtype THEN '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$'
           WHEN 'bigint'::regtype THEN '^[+-]?[0-9]+$'
           WHEN 'integer'::regtype THEN '^[+-]?[0-9]+$'
           WHEN 'boolean'::regtype THEN '^(0|1|true|false|TRUE|FALSE|True|False)$'
           WHEN 'date'::regtype THEN '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
           WHEN 'timestamptz'::regtype
           THEN '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?$'
       END,
       CASE a.atttypid
           WHEN 'numeric'::regtype THEN 'a decimal number'
           WHEN 'bigint'::regtype THEN 'a whole number'
           WHEN 'integer'::regtype THEN 'a whole number'
           WHEN 'boolean'::regtype THEN '0, 1, true or false'
           WHEN 'date'::regtype THEN 'a date, YYYY-MM-DD'
           WHEN 'timestamptz'::regtype THEN 'a time, YYYY-MM-DDTHH:MM:SS with Z or an offset'
       END
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
$$;

-- Headers with columns nobody knows, and cells that are not what their column holds.
CREATE FUNCTION pg_temp.check_syntax(source text, target regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    INSERT INTO bad_lines
    SELECT source, line, 'unknown column ' || string_agg(name, ', ')
    FROM csv_lines, jsonb_array_elements_text(CASE jsonb_typeof(fields) WHEN 'array' THEN fields ELSE '[]' END) AS name
    WHERE file = source AND name NOT IN (SELECT k.name FROM pg_temp.columns_of(target) AS k)
      AND NOT (name IN ('playbooks', 'tags') AND source IN ('stocks.csv', 'options.csv'))
    GROUP BY line
    ON CONFLICT DO NOTHING;

    FOR c IN SELECT * FROM pg_temp.columns_of(target) WHERE pattern IS NOT NULL LOOP
        INSERT INTO bad_lines
        SELECT source, line, format('%s is "%s", expected %s', c.name, left(fields ->> c.name, 60), c.expected)
        FROM csv_lines
        WHERE file = source AND jsonb_typeof(fields) = 'object' AND fields ->> c.name !~ c.pattern
        ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;

-- Fills the twin. All rows at once; one by one only to find out which of them fail, and why.
CREATE FUNCTION pg_temp.check_rows(source text, target regclass, twin regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    l record;
    broken text;
    missing text;
    why text;
    detail text;
BEGIN
    IF EXISTS (SELECT FROM bad_lines JOIN csv_lines AS c USING (file, line) WHERE file = source AND jsonb_typeof(c.fields) = 'array') THEN
        RETURN; -- under a wrong header no line means anything
    END IF;
    SELECT format('INSERT INTO %s (csv_line, %s) SELECT line, %s FROM csv_lines AS c WHERE file = %L '
                  'AND jsonb_typeof(fields) = ''object'' AND NOT EXISTS (SELECT FROM bad_lines AS b WHERE b.file = c.file AND b.line = c.line)',
                  twin, string_agg(quote_ident(name), ', ' ORDER BY number), string_agg(cell, ', ' ORDER BY number), source)
    INTO statement
    FROM (
        SELECT name, number, CASE WHEN default_value IS NULL THEN cell ELSE format('coalesce(%s, %s)', cell, default_value) END
        FROM (
            SELECT *, CASE name WHEN 'symbol' THEN 'upper((fields ->> ''symbol'') COLLATE "C")' -- the table's rule; Turkish has another i
                                -- as the table's trigger does, which the twin has not
                                WHEN 'implied_volatility' THEN format('nullif((fields ->> %L)::%s, 0)', name, type)
                                ELSE format('(fields ->> %L)::%s', name, type) END AS cell
            FROM pg_temp.columns_of(target)
        ) AS typed
    ) AS columns (name, number, cell);
    BEGIN
        EXECUTE statement;
        RETURN;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        NULL;
    END;
    FOR l IN SELECT c.line FROM csv_lines AS c
             WHERE c.file = source AND jsonb_typeof(c.fields) = 'object'
               AND NOT EXISTS (SELECT FROM bad_lines AS b WHERE b.file = c.file AND b.line = c.line)
             ORDER BY c.line
    LOOP
        BEGIN
            EXECUTE statement || ' AND line = $1' USING l.line;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, missing = COLUMN_NAME, why = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            INSERT INTO bad_lines VALUES (source, l.line, CASE SQLSTATE
                WHEN '23502' THEN missing || ' is missing'
                WHEN '23514' THEN 'breaks ' || broken || ': '
                                  || (SELECT regexp_replace(pg_get_constraintdef(oid, true), '::(bigint|numeric|text|integer|date|timestamp with time zone)(\[\])?', '', 'g')
                                      FROM pg_constraint WHERE conrelid = target AND conname = broken)
                WHEN '23505' THEN 'is there twice: ' || substring(detail FROM 'Key (.*) already exists')
                ELSE concat_ws(': ', why, nullif(detail, '')) END);
        END;
    END LOOP;
END
$$;

-- Rows the journal already has are not overwritten.
CREATE FUNCTION pg_temp.check_present(source text, target regclass, twin regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    keys text;
BEGIN
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO keys
    FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = target AND i.indisprimary;
    EXECUTE format('INSERT INTO bad_lines SELECT %L, csv_line, %L || concat_ws('', '', %s) FROM %s JOIN %s AS present USING (%s) '
                   'ON CONFLICT DO NOTHING', source, 'is already in the database: ' || keys || ' = ', keys, twin, target, keys);
END
$$;

SELECT pg_temp.check_syntax('stocks.csv', 'public.stocks'), pg_temp.check_syntax('options.csv', 'public.options'),
       pg_temp.check_syntax('daily_bars.csv', 'public.daily_bars'), pg_temp.check_syntax('latest_price.csv', 'public.latest_price') \g /dev/null
SELECT pg_temp.check_rows('stocks.csv', 'public.stocks', 'new_stocks'), pg_temp.check_rows('options.csv', 'public.options', 'new_options'),
       pg_temp.check_rows('daily_bars.csv', 'public.daily_bars', 'new_daily_bars'),
       pg_temp.check_rows('latest_price.csv', 'public.latest_price', 'new_latest_price') \g /dev/null
SELECT pg_temp.check_present('stocks.csv', 'public.stocks', 'new_stocks'), pg_temp.check_present('options.csv', 'public.options', 'new_options'),
       pg_temp.check_present('daily_bars.csv', 'public.daily_bars', 'new_daily_bars') \g /dev/null

SELECT count(*) AS n_bad, count(*) > 0 AS bad FROM bad_lines \gset
\if :bad
    \o | cat >&2
    SELECT file || ':' || line || ': ' || reason FROM bad_lines
    ORDER BY array_position('{stocks.csv,options.csv,daily_bars.csv,latest_price.csv}', file), line LIMIT 20;
    \o
    -- psql's way to a non-zero exit; the transaction goes with it
    SELECT format('DO $$ BEGIN RAISE EXCEPTION %L; END $$', 'bad lines: ' || :n_bad || '; nothing was loaded') \gexec
\endif

-- A user's dates move by whole weeks of local time, so that the last exit (or, where nothing was ever closed, the last
-- entry) falls in the seven days before now. Where a move turns an hour that a clock change repeats
-- upside down, the exit is at the entry.
\if :shift
CREATE TEMP TABLE moves ON COMMIT DROP AS
SELECT user_id, zone, interval '7 days' * weeks AS move, 7 * weeks AS days
FROM (
    SELECT t.user_id, zone,
           floor(extract(epoch FROM now() AT TIME ZONE zone - coalesce(max(exit_date), max(entry_date)) AT TIME ZONE zone) / 604800)::integer AS weeks
    FROM (SELECT user_id, entry_date, exit_date FROM new_stocks UNION ALL SELECT user_id, entry_date, exit_date FROM new_options) AS t
    LEFT JOIN public.account_settings AS s USING (user_id)
    CROSS JOIN LATERAL (SELECT coalesce(s.timezone, 'America/New_York')) AS z (zone)
    GROUP BY t.user_id, zone
) AS w;
CREATE FUNCTION pg_temp.moved(t timestamptz, zone text, move interval) RETURNS timestamptz LANGUAGE sql AS
$$ SELECT (t AT TIME ZONE zone + move) AT TIME ZONE zone $$;
-- The price of an option goes where the options it belongs to go.
CREATE TEMP TABLE moved_prices ON COMMIT DROP AS
SELECT DISTINCT ON (symbol, expiration, option_type, strike_price)
       symbol, expiration_date + coalesce(m.days, 0) AS expiration, option_type, strike_price, price, observed_at, csv_line
FROM new_latest_price LEFT JOIN (
    SELECT DISTINCT o.symbol, o.expiration_date, o.option_type, o.strike_price, m.days FROM new_options AS o JOIN moves AS m USING (user_id)
) AS m USING (symbol, expiration_date, option_type, strike_price)
ORDER BY symbol, expiration, option_type, strike_price, m.days IS NULL, csv_line;
TRUNCATE new_latest_price;
INSERT INTO new_latest_price SELECT * FROM moved_prices;
UPDATE new_stocks AS t
SET entry_date = pg_temp.moved(entry_date, zone, move),
    exit_date = CASE WHEN exit_date IS NOT NULL THEN greatest(pg_temp.moved(exit_date, zone, move), pg_temp.moved(entry_date, zone, move)) END
FROM moves AS m WHERE m.user_id = t.user_id;
UPDATE new_options AS t
SET entry_date = pg_temp.moved(entry_date, zone, move),
    exit_date = CASE WHEN exit_date IS NOT NULL THEN greatest(pg_temp.moved(exit_date, zone, move), pg_temp.moved(entry_date, zone, move)) END,
    expiration_date = expiration_date + days
FROM moves AS m WHERE m.user_id = t.user_id;
\endif

-- The names in the columns playbooks and tags: one row per trade and name.
CREATE TEMP TABLE labels ON COMMIT DROP AS
SELECT DISTINCT user_id, is_option, id, kind, btrim(name, E' \t\n\r') AS name
FROM (
    SELECT 'stocks.csv' AS file, csv_line AS line, false AS is_option, user_id, id FROM new_stocks
    UNION ALL SELECT 'options.csv', csv_line, true, user_id, id FROM new_options
) AS trade
JOIN csv_lines USING (file, line)
CROSS JOIN LATERAL (VALUES ('playbook', fields ->> 'playbooks'), ('tag', fields ->> 'tags')) AS cell (kind, names)
CROSS JOIN LATERAL string_to_table(names, ';') AS name
WHERE btrim(name, E' \t\n\r') <> '';
ANALYZE labels;

ALTER TABLE new_stocks DROP COLUMN csv_line;
ALTER TABLE new_options DROP COLUMN csv_line;
ALTER TABLE new_daily_bars DROP COLUMN csv_line;
ALTER TABLE new_latest_price DROP COLUMN csv_line;
INSERT INTO public.stocks SELECT * FROM new_stocks;
INSERT INTO public.options SELECT * FROM new_options;
INSERT INTO public.daily_bars SELECT * FROM new_daily_bars;
-- What was observed later stays.
INSERT INTO public.latest_price AS present SELECT * FROM new_latest_price WHERE expiration_date IS NULL
ON CONFLICT (symbol) WHERE expiration_date IS NULL
DO UPDATE SET price = excluded.price, observed_at = excluded.observed_at WHERE present.observed_at <= excluded.observed_at;
INSERT INTO public.latest_price AS present SELECT * FROM new_latest_price WHERE expiration_date IS NOT NULL
ON CONFLICT (symbol, expiration_date, option_type, strike_price)
DO UPDATE SET price = excluded.price, observed_at = excluded.observed_at WHERE present.observed_at <= excluded.observed_at;
INSERT INTO public.account_settings (user_id)
SELECT user_id FROM new_stocks UNION SELECT user_id FROM new_options
ON CONFLICT DO NOTHING;

-- Names the user does not have yet get the next ids.
INSERT INTO public.playbook (user_id, id, name)
SELECT user_id, coalesce((SELECT max(p.id) FROM public.playbook AS p WHERE p.user_id = l.user_id), 0)
                + row_number() OVER (PARTITION BY user_id ORDER BY name COLLATE "C"), name
FROM (SELECT DISTINCT user_id, name FROM labels WHERE kind = 'playbook') AS l
WHERE NOT EXISTS (SELECT FROM public.playbook AS p WHERE p.user_id = l.user_id AND p.name = l.name);
INSERT INTO public.trade_tags (user_id, id, name)
SELECT user_id, coalesce((SELECT max(t.id) FROM public.trade_tags AS t WHERE t.user_id = l.user_id), 0)
                + row_number() OVER (PARTITION BY user_id ORDER BY name COLLATE "C"), name
FROM (SELECT DISTINCT user_id, name FROM labels WHERE kind = 'tag') AS l
WHERE NOT EXISTS (SELECT FROM public.trade_tags AS t WHERE t.user_id = l.user_id AND t.name = l.name);

INSERT INTO public.stock_trade_playbook (user_id, stock_trade_id, setup_id)
SELECT user_id, l.id, p.id FROM labels AS l JOIN public.playbook AS p USING (user_id, name) WHERE kind = 'playbook' AND NOT is_option;
INSERT INTO public.option_trade_playbook (user_id, option_trade_id, setup_id)
SELECT user_id, l.id, p.id FROM labels AS l JOIN public.playbook AS p USING (user_id, name) WHERE kind = 'playbook' AND is_option;
-- The CSV form has no categories: of several tags of one name the oldest is meant.
CREATE TEMP TABLE tag_links ON COMMIT DROP AS
SELECT user_id, is_option, l.id, t.id AS tag_id
FROM labels AS l JOIN (SELECT user_id, name, min(id) AS id FROM public.trade_tags GROUP BY user_id, name) AS t USING (user_id, name)
WHERE kind = 'tag';
INSERT INTO public.stock_trade_tags (user_id, stock_trade_id, tag_id) SELECT user_id, id, tag_id FROM tag_links WHERE NOT is_option;
INSERT INTO public.option_trade_tags (user_id, option_trade_id, tag_id) SELECT user_id, id, tag_id FROM tag_links WHERE is_option;

SELECT format('loaded %s stock trades, %s option trades and %s daily bars of %s users',
              (SELECT count(*) FROM new_stocks), (SELECT count(*) FROM new_options), (SELECT count(*) FROM new_daily_bars),
              (SELECT count(*) FROM (SELECT user_id FROM new_stocks UNION SELECT user_id FROM new_options) AS u));
SELECT format('linked %s playbooks and %s tags to them', count(*) FILTER (WHERE kind = 'playbook'), count(*) FILTER (WHERE kind = 'tag'))
FROM labels HAVING count(*) > 0;
SELECT format('loaded %s latest prices', count(*)) FROM new_latest_price HAVING count(*) > 0;
COMMIT;
ANALYZE public.stocks, public.options, public.daily_bars, public.latest_price, public.playbook, public.stock_trade_playbook,
    public.option_trade_playbook, public.trade_tags, public.stock_trade_tags, public.option_trade_tags;
