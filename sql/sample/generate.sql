-- A believable journal to try pnlcache with: psql -f sql/sample/generate.sql (after sql/apply.sh).
--
--   beginner       40 trades in shares and crypto, fractional, a small account
--   active      3,000 trades in shares and crypto, 800 legs of options
--   whale     200,000 trades in shares and crypto
--
-- Each with playbooks, tags, answers to the playbooks' rules, and opportunities they missed; with notes and pictures, a notebook and a
-- calendar (notebook.sql); and the latest prices of what is still open, but for one option, and what is known of the symbols (companies.sql).
--
-- Dates count back from now so that every time range has content, today included, whatever the day: on
-- days without a session it holds crypto trades and expiries booked overnight. The same :now gives
-- the same rows; nothing lies in its future but reminders, events of calendars and dates of earnings. Rows of these three users, and
-- all market data of these symbols, are replaced.
--
--     psql -v now="'2026-03-02T15:00:00Z'" -v whale=5000 -f sql/sample/generate.sql
--
-- makes it as of another instant, and the whale smaller (at least 1,000).

\set QUIET on
\set ON_ERROR_STOP on
\if :{?now}
\else
\set now 'now()'
\endif
\if :{?whale}
\else
\set whale 200000
\endif

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_temp, public;
SET LOCAL TimeZone = 'America/New_York'; -- dates and times of day below are New York's
SET LOCAL jit = off;

-- --- pseudo-random numbers that depend on nothing but their arguments ---------------------------------

-- Uniform in [0, 1): draw number `draw` of the thing with this key.
CREATE FUNCTION pg_temp.uniform(key bigint, draw bigint) RETURNS double precision IMMUTABLE LANGUAGE sql AS
$$ SELECT (hashint8extended(key, draw) & 4503599627370495) / 4503599627370496.0::double precision $$;

-- --- the calendar --------------------------------------------------------------------------------------

CREATE TEMP TABLE clock ON COMMIT DROP AS
SELECT t AS now, t::date AS today, date_trunc('day', t) AS midnight
FROM (SELECT date_trunc('second', (:now)::timestamptz)) AS c (t);

-- The weekday `n` (1 Monday .. 7 Sunday) on or after a day.
CREATE FUNCTION pg_temp.weekday_from(day date, n int) RETURNS date IMMUTABLE LANGUAGE sql AS
$$ SELECT day + (n - extract(isodow FROM day)::int + 7) % 7 $$;

-- The exchange's holidays (Good Friday aside); those on a weekend are kept on the nearest weekday.
CREATE TEMP TABLE holidays ON COMMIT DROP AS
SELECT CASE extract(isodow FROM h) WHEN 6 THEN h - 1 WHEN 7 THEN h + 1 ELSE h END AS day
FROM clock, generate_series(extract(year FROM today)::int - 4, extract(year FROM today)::int + 1) AS y,
     unnest(ARRAY[
         make_date(y, 1, 1), pg_temp.weekday_from(make_date(y, 1, 15), 1), pg_temp.weekday_from(make_date(y, 2, 15), 1),
         pg_temp.weekday_from(make_date(y, 5, 25), 1), make_date(y, 6, 19), make_date(y, 7, 4),
         pg_temp.weekday_from(make_date(y, 9, 1), 1), pg_temp.weekday_from(make_date(y, 11, 22), 4), make_date(y, 12, 25)]) AS h;

-- Every day with the session on it, or else the last one before; only sessions that are over.
CREATE TEMP TABLE calendar ON COMMIT DROP AS
SELECT d::date AS day, d::date - (SELECT today FROM clock) AS age,
       max(d::date) FILTER (WHERE extract(isodow FROM d) < 6 AND d::date NOT IN (SELECT day FROM holidays)
                                  AND d::date + time '16:00' <= (SELECT now::timestamp FROM clock))
           OVER (ORDER BY d) AS session
FROM clock, generate_series(today - 1230, today, interval '1 day') AS d;
CREATE UNIQUE INDEX ON calendar (day);

-- --- prices --------------------------------------------------------------------------------------------

CREATE TEMP TABLE symbols ON COMMIT DROP AS
SELECT row_number() OVER () - 1 AS number, symbol, base, wild, crypto
FROM (VALUES
    ('AAPL', 195, 0.016, false), ('MSFT', 410, 0.014, false), ('NVDA', 120, 0.028, false), ('AMZN', 180, 0.018, false),
    ('GOOGL', 165, 0.017, false), ('META', 480, 0.021, false), ('TSLA', 240, 0.034, false), ('AMD', 150, 0.029, false),
    ('NFLX', 620, 0.02, false), ('INTC', 34, 0.022, false), ('JPM', 195, 0.012, false), ('BAC', 38, 0.014, false),
    ('XOM', 112, 0.014, false), ('CVX', 155, 0.013, false), ('KO', 61, 0.008, false), ('PEP', 172, 0.009, false),
    ('DIS', 102, 0.016, false), ('BA', 185, 0.02, false), ('F', 12, 0.02, false), ('GM', 44, 0.019, false),
    ('PLTR', 24, 0.036, false), ('COIN', 210, 0.045, false), ('UBER', 70, 0.021, false), ('SHOP', 72, 0.03, false),
    ('SQ', 68, 0.03, false), ('SOFI', 8, 0.036, false), ('SPY', 520, 0.008, false), ('QQQ', 445, 0.011, false),
    ('IWM', 205, 0.012, false), ('GLD', 215, 0.008, false), ('BTC-USD', 64000, 0.028, true), ('ETH-USD', 3100, 0.035, true)
) AS s (symbol, base, wild, crypto);

-- The price at the end of a day: slow waves with noise, in closed form, so that history never changes as time goes on.
CREATE FUNCTION pg_temp.close_of(number bigint, base double precision, wild double precision, day date)
RETURNS double precision IMMUTABLE LANGUAGE sql AS $$
SELECT base * exp(14 * wild * sin((day - date '2020-01-01') / 170.0 + number * 2.1) + 5 * wild * sin((day - date '2020-01-01') / 31.0 + number * 4.7)
                  + 2 * wild * sin((day - date '2020-01-01') / 7.3 + number)
                  + wild * (pg_temp.uniform(number, day - date '2020-01-01') - 0.5)) $$;

CREATE TEMP TABLE bars ON COMMIT DROP AS
SELECT symbol, number, crypto, day, round(open::numeric, 2) AS open, round(close::numeric, 2) AS close,
       round((greatest(open, close) * (1 + wild * pg_temp.uniform(number, 2 * age + 1000001)))::numeric, 2) AS high,
       round((least(open, close) * (1 - wild * pg_temp.uniform(number, 2 * age + 1000002)))::numeric, 2) AS low,
       (1000000 + 40000000 * pg_temp.uniform(number, age + 2000000))::bigint AS volume
FROM (SELECT s.*, c.day, c.day - date '2020-01-01' AS age,
             pg_temp.close_of(number, base, wild, c.day) AS close,
             pg_temp.close_of(number, base, wild, c.day - 1) * (1 + wild * (pg_temp.uniform(number, c.age) - 0.5) / 3) AS open
      FROM symbols AS s JOIN calendar AS c ON s.crypto OR c.day = c.session) AS walk;
CREATE UNIQUE INDEX ON bars (symbol, day);
ANALYZE bars;

DELETE FROM daily_bars WHERE symbol IN (SELECT symbol FROM symbols);
INSERT INTO daily_bars (symbol, date, open, high, low, close, volume)
SELECT symbol, day, open, high, low, close, volume FROM bars;

-- --- the traders ---------------------------------------------------------------------------------------

CREATE TEMP TABLE traders ON COMMIT DROP AS
SELECT * FROM (VALUES
    -- id, number, trades, of these open, of these closed today; deleted ones besides; days back, money in a trade, share of wins
    ('beginner', 1, 40, 2, 1, 1, 170, 300, 0.43),
    ('active', 2, 3000, 12, 6, 15, 900, 8000, 0.52),
    ('whale', 3, :whale, 150, 60, 400, 1100, 20000, 0.515)
) AS t (user_id, number, trades, still_open, closed_today, deleted, days, budget, win_rate);

DELETE FROM stocks WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM options WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM account_settings WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM playbook WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM trade_tags WHERE user_id IN (SELECT user_id FROM traders);

INSERT INTO account_settings (user_id, starting_equity, risk_free_rate, week_start, market_holidays)
SELECT user_id, CASE user_id WHEN 'beginner' THEN 2500 WHEN 'active' THEN 50000 ELSE 5000000 END,
       CASE user_id WHEN 'whale' THEN 0.04 ELSE 0.02 END, CASE user_id WHEN 'whale' THEN 'monday' ELSE 'sunday' END,
       CASE user_id WHEN 'beginner' THEN '{}' ELSE (SELECT array_agg(day ORDER BY day) FROM holidays) END
FROM traders;

-- --- shares and crypto ---------------------------------------------------------------------------------

-- When: trades grow denser towards the present. Two thirds open and close within one session, the others are held for days
-- to weeks. Those closed today are crypto, bought yesterday evening, sold in the small hours.
CREATE TEMP TABLE stock_times ON COMMIT DROP AS
SELECT t.user_id, t.budget, t.win_rate, n, t.number * 10000000 + n AS key, kind, symbol,
       CASE kind WHEN 'overnight' THEN c.today - 1 ELSE opened.session END AS entry_day,
       CASE kind WHEN 'overnight' THEN c.today - 1 + time '19:00' + pg_temp.uniform(t.number * 10000000 + n, 1) * interval '4 hours'
            ELSE opened.session + time '09:30' + entry_second * interval '1 second' END::timestamptz(3) AS entry_time,
       CASE kind WHEN 'open' THEN NULL
            WHEN 'overnight' THEN c.midnight + pg_temp.uniform(t.number * 10000000 + n, 2) * least(c.now - c.midnight, interval '6 hours')
            WHEN 'session' THEN closed.session + time '09:30'
                                + (entry_second + 30 + pg_temp.uniform(t.number * 10000000 + n, 3) * (23365 - entry_second)) * interval '1 second'
            ELSE closed.session + time '09:30' + pg_temp.uniform(t.number * 10000000 + n, 4) * interval '23399 seconds'
       END::timestamptz(3) AS exit_time,
       n > t.trades AS is_deleted
FROM clock AS c CROSS JOIN traders AS t CROSS JOIN LATERAL generate_series(1, t.trades + t.deleted) AS n
CROSS JOIN LATERAL (
    SELECT CASE WHEN n BETWEEN t.trades - t.still_open + 1 AND t.trades THEN 'open'
                WHEN n BETWEEN t.trades - t.still_open - t.closed_today + 1 AND t.trades THEN 'overnight'
                WHEN pg_temp.uniform(t.number * 10000000 + n, 5) < 0.66 THEN 'session'
                ELSE 'swing' END AS kind,
           23000 * pg_temp.uniform(t.number * 10000000 + n, 6) AS entry_second,
           floor(t.days * CASE WHEN n < t.trades THEN (1 - (n - 0.5::float8) / t.trades) ^ 1.5
                               ELSE pg_temp.uniform(t.number * 10000000 + n, 7) END)::int AS exit_age,
           1 + floor(45 * pg_temp.uniform(t.number * 10000000 + n, 8) ^ 2)::int AS held_days
) AS d
JOIN symbols AS s ON s.number = CASE kind WHEN 'overnight' THEN 30 + n % 2
                                          ELSE floor(30 * pg_temp.uniform(t.number * 10000000 + n, 9) ^ 1.3) END
JOIN calendar AS closed ON closed.day = c.today - CASE kind WHEN 'open' THEN 0 ELSE exit_age END
JOIN calendar AS opened ON opened.day = closed.session - CASE kind WHEN 'session' THEN 0 ELSE held_days END;

-- At what price and size: within the day's bar; the stop 0.8 to 3.8 % away; the result in multiples of it.
INSERT INTO stocks (id, user_id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss, initial_risk,
                    take_profit, intended_entry_price, commissions, fees, entry_date, exit_date, trade_ratings,
                    reviewed, mistakes, brokerage_name, is_deleted, created_at, updated_at)
SELECT n, user_id, symbol, CASE direction WHEN 1 THEN 'BUY' ELSE 'SELL' END,
       (ARRAY['LIMIT', 'MARKET', 'MARKET', 'STOP', 'STOP_LIMIT'])[1 + floor(5 * pg_temp.uniform(key, 20))], shares, price, exit_price,
       CASE WHEN pg_temp.uniform(key, 21) < 0.72 THEN round((price - direction * stop_distance)::numeric, 2) END,
       CASE WHEN pg_temp.uniform(key, 22) < 0.08 THEN round((shares * stop_distance)::numeric, 2) + 1 END,
       CASE WHEN pg_temp.uniform(key, 23) < 0.5
            THEN greatest(round((price + direction * stop_distance * (1 + floor(3 * pg_temp.uniform(key, 24))))::numeric, 2), 0.01) END,
       CASE WHEN pg_temp.uniform(key, 25) < 0.2 THEN round((price * (1 + 0.002 * (pg_temp.uniform(key, 26) - 0.6)))::numeric, 2) END,
       CASE user_id WHEN 'beginner' THEN 0 WHEN 'active' THEN greatest(1, round(0.005 * shares, 2)) ELSE round(0.35 + 0.0035 * shares, 4) END,
       CASE WHEN user_id = 'whale' AND pg_temp.uniform(key, 27) < 0.3 THEN round(-0.002 * shares, 4) ELSE round(0.0000278 * shares * price, 4) END,
       entry_time, exit_time,
       CASE WHEN exit_time IS NOT NULL AND pg_temp.uniform(key, 28) < 0.6 THEN 1 + floor(5 * pg_temp.uniform(key, 29))::int END,
       exit_time IS NOT NULL AND pg_temp.uniform(key, 30) < 0.7,
       CASE WHEN pg_temp.uniform(key, 31) < 0.04 THEN 'Moved stop; Oversized'
            WHEN pg_temp.uniform(key, 31) < 0.18
            THEN (ARRAY['FOMO entry', 'Moved stop', 'Oversized', 'No plan', 'Revenge trade', 'Exited too early'])[1 + floor(6 * pg_temp.uniform(key, 32))] END,
       CASE user_id WHEN 'beginner' THEN 'Robinhood' WHEN 'active' THEN 'Schwab' ELSE 'Interactive Brokers' END,
       is_deleted, entry_time, coalesce(exit_time, entry_time)
FROM (
    SELECT o.*, CASE WHEN exit_time IS NOT NULL
                     THEN greatest(round((price + direction * stop_distance * result)::numeric, 2), 0.01) END AS exit_price,
           CASE WHEN crypto THEN greatest(round((stake / price)::numeric, 4), 0.0001)
                WHEN user_id = 'beginner' THEN greatest(round((stake / price)::numeric, 2), 0.01)
                ELSE greatest(round((stake / price)::numeric), 1) END AS shares
    FROM (
        SELECT t.*, b.crypto, round((b.low + (b.high - b.low) * pg_temp.uniform(key, 10))::numeric, 2) AS price,
               CASE WHEN pg_temp.uniform(key, 11) < 0.78 THEN 1 ELSE -1 END AS direction,
               b.close * (0.008 + 0.03 * pg_temp.uniform(key, 12)) AS stop_distance,
               budget * (0.3 + 1.4 * pg_temp.uniform(key, 13)) AS stake,
               CASE WHEN pg_temp.uniform(key, 14) < win_rate THEN 0.15 + 1.8 * pg_temp.uniform(key, 15) ^ 1.6
                    WHEN pg_temp.uniform(key, 14) < win_rate + 0.015 THEN 0
                    WHEN pg_temp.uniform(key, 14) > 0.985 THEN -1.1 - 1.2 * pg_temp.uniform(key, 15) -- the stop did not hold
                    ELSE -0.35 - 0.7 * pg_temp.uniform(key, 15) END AS result
        FROM stock_times AS t JOIN bars AS b ON b.symbol = t.symbol AND b.day = t.entry_day
    ) AS o
) AS f
ORDER BY user_id, n;

-- --- options -------------------------------------------------------------------------------------------

-- 800 legs of `active`: every eighth group of four is an iron condor, the others are single legs. 15 are
-- open; the last of the rest expired on the last session and were booked after midnight today.
CREATE TEMP TABLE option_legs ON COMMIT DROP AS
SELECT n, key, symbol, strategy, side, option_type, status, entry_day,
       (entry_day + time '09:30' + pg_temp.uniform(key, 41) * interval '23000 seconds')::timestamptz(0) AS entry_time,
       CASE WHEN status = 'open' THEN NULL
            WHEN n > 781 THEN (SELECT midnight + pg_temp.uniform(n, 42) * least(now - midnight, interval '10 minutes') FROM clock)
            WHEN status = 'closed' THEN exit_day + time '15:55' + pg_temp.uniform(key, 43) * interval '299 seconds'
            ELSE exit_day + time '16:00' END::timestamptz(0) AS exit_time,
       CASE WHEN n > 781 AND status <> 'open' THEN exit_day
            WHEN status = 'closed' THEN pg_temp.weekday_from(exit_day, 5) + 7 * floor(4 * pg_temp.uniform(key, 44))::int
            WHEN status = 'open' THEN pg_temp.weekday_from((SELECT today FROM clock), 5) + 7 * floor(1 + 5 * pg_temp.uniform(key, 44))::int
            ELSE exit_day END AS expiration
FROM (
    SELECT n, key, kind.*, CASE WHEN n > 785 THEN 'open'
                   WHEN n > 781 OR fate < 0.2 THEN 'expired'
                   WHEN fate < 0.26 AND kind.side = 'short' THEN 'assigned'
                   WHEN fate < 0.26 THEN 'exercised'
                   ELSE 'closed' END AS status,
           s.symbol, closed.session AS exit_day, opened.session AS entry_day
    FROM clock AS c
    CROSS JOIN LATERAL generate_series(1, 800) AS n
    CROSS JOIN LATERAL (SELECT CASE WHEN (n - 1) / 4 % 8 = 3 AND n <= 780 THEN 90000000 + (n - 1) / 4 ELSE 80000000 + n END AS key) AS k
    CROSS JOIN LATERAL (
        SELECT pg_temp.uniform(key, 45) AS fate,
               floor(880 * (1 - (CASE WHEN key < 90000000 THEN n ELSE (n - 1) / 4 * 4 + 1 END - 0.5) / 785) ^ 1.4)::int AS exit_age
        WHERE n <= 785 UNION ALL SELECT 0, 0 WHERE n > 785) AS d
    CROSS JOIN LATERAL (
        SELECT 'Iron Condor' AS strategy, CASE n % 2 WHEN 0 THEN 'long' ELSE 'short' END AS side,
               CASE WHEN n % 4 IN (1, 2) THEN 'Put' ELSE 'Call' END AS option_type
        WHERE key >= 90000000
        UNION ALL
        SELECT (ARRAY['Long Call', 'Long Put', 'Cash-Secured Put', 'Covered Call'])[which],
               (ARRAY['long', 'long', 'short', 'short'])[which], (ARRAY['Call', 'Put', 'Put', 'Call'])[which]
        FROM (SELECT 1 + floor(4 * pg_temp.uniform(key, 46))::int AS which) AS w
        WHERE key < 90000000) AS kind
    JOIN symbols AS s ON s.number = floor(30 * pg_temp.uniform(key, 47) ^ 1.2)
    -- what is not closed by hand ends on a Friday's session
    JOIN calendar AS closed ON closed.day = c.today - exit_age
         - CASE WHEN n <= 781 AND fate < 0.26
                THEN (extract(isodow FROM c.today - exit_age)::int + 2) % 7 ELSE 0 END
    JOIN calendar AS opened ON opened.day = closed.session
         - CASE WHEN n <= 785 AND fate < 0.04 THEN 0 ELSE 1 + floor(34 * pg_temp.uniform(key, 48))::int END
) AS l;

INSERT INTO options (id, user_id, symbol, strategy_type, trade_direction, side, option_type, order_type, strike_price, expiration_date,
                     number_of_contracts, entry_price, exit_price, stop_loss, initial_risk, intended_entry_price, total_premium,
                     commissions, fees, implied_volatility, entry_date, exit_date, status, trade_ratings, reviewed,
                     mistakes, brokerage_name, created_at, updated_at)
SELECT n, 'active', symbol, strategy,
       CASE WHEN strategy = 'Iron Condor' THEN 'Neutral'
            WHEN pg_temp.uniform(n, 50) < 0.5 THEN CASE WHEN (side = 'long') = (option_type = 'Call') THEN 'Bullish' ELSE 'Bearish' END END,
       side, option_type, 'LIMIT', strike, expiration, contracts, premium,
       CASE WHEN status = 'closed' THEN greatest(round((premium * (1 + CASE side WHEN 'long' THEN 1 ELSE -1 END * result))::numeric, 2), 0.01) END,
       CASE WHEN side = 'long' AND premium >= 0.1 AND pg_temp.uniform(n, 51) < 0.4 THEN round(premium / 2, 2) END,
       CASE WHEN side = 'short' AND pg_temp.uniform(n, 52) < 0.3 THEN round(premium * contracts * 200, 2) END,
       CASE WHEN pg_temp.uniform(n, 53) < 0.15 THEN greatest(premium - 0.02, 0.01) END,
       premium * contracts * 100,
       contracts * CASE status WHEN 'closed' THEN 1.30 ELSE 0.65 END, round(contracts * 0.0279, 4),
       CASE WHEN pg_temp.uniform(n, 54) < 0.9 THEN round((16 + 60 * pg_temp.uniform(key, 55))::numeric, 4) END,
       entry_time, exit_time, status,
       CASE WHEN status <> 'open' AND pg_temp.uniform(n, 56) < 0.5 THEN 1 + floor(5 * pg_temp.uniform(n, 57))::int END, status <> 'open',
       CASE WHEN pg_temp.uniform(n, 58) < 0.12 THEN (ARRAY['No plan', 'Held into expiry', 'Oversized', 'FOMO entry'])[1 + floor(4 * pg_temp.uniform(n, 59))] END,
       'Schwab', entry_time, coalesce(exit_time, entry_time)
FROM (
    SELECT l.*, greatest(round((b.close * (0.004 + 0.022 * pg_temp.uniform(n, 60)))::numeric, 2), 0.05) AS premium,
           greatest(round((b.close * (1 + CASE option_type WHEN 'Call' THEN 1 ELSE -1 END
                                          * (0.02 * pg_temp.uniform(key, 61)
                                             + CASE WHEN strategy = 'Iron Condor' THEN CASE side WHEN 'long' THEN 0.06 ELSE 0.03 END ELSE 0 END)))::numeric), 1) AS strike,
           1 + floor(6 * pg_temp.uniform(key, 62) ^ 2)::int AS contracts,
           CASE WHEN pg_temp.uniform(n, 63) < 0.5 THEN 0.1 + 0.8 * pg_temp.uniform(n, 64) ELSE -0.1 - 0.6 * pg_temp.uniform(n, 64) END AS result
    FROM option_legs AS l JOIN bars AS b ON b.symbol = l.symbol AND b.day = l.entry_day
) AS f
ORDER BY n;

-- --- playbooks, tags, missed opportunities -----------------------------------------------------------------

CREATE TEMP TABLE setups ON COMMIT DROP AS
SELECT row_number() OVER () AS id, s.*
FROM (VALUES
    ('Opening range breakout', 'With the break of the first quarter of an hour', U&'\+01F680', '#4f7cac', '{beginner,active,whale}'::text[],
     '{"Wait for the first 15 minutes","Volume above average","Stop below the range"}'::text[]),
    ('Pullback to the 20-day average', 'A strong share that comes back to its average', U&'\+01F3AF', '#5aa469', '{beginner,active,whale}',
     '{"Trend is up","Enter on a green candle","Risk at most 1 %","No earnings this week"}'),
    ('Gap fade', NULL, U&'\+01F573', '#d9a441', '{active,whale}', '{"Gap over 2 %","No news"}'),
    ('Premium selling', 'Puts and calls, sold far from the price', U&'\+01F4B0', '#a05195', '{active}',
     '{"IV rank over 30","At least 20 days to expiration","Close at half the premium"}'),
    ('Gut feeling', 'What no other playbook explains', NULL, '#808080', '{active,whale}', '{}')
) AS s (name, description, emoji, color, users, rules);

INSERT INTO playbook (user_id, id, name, description, emoji, color, created_at, updated_at)
SELECT user_id, id, name, description, emoji, color, now - days * interval '1 day', now - days * interval '1 day'
FROM clock, setups CROSS JOIN LATERAL unnest(users) AS user_id JOIN traders USING (user_id);
INSERT INTO playbook_rules (user_id, id, playbook_id, title, rule_type, order_position, created_at, updated_at)
SELECT p.user_id, 10 * p.id + rule.number, p.id, title,
       CASE WHEN title ~ '^(Stop|Close|Risk)' THEN 'exit_criteria' WHEN title ~ '^(Trend|Volume|IV|Gap|No )' THEN 'market_factor' ELSE 'entry_criteria' END,
       rule.number, p.created_at, p.updated_at
FROM playbook AS p JOIN setups AS s USING (id) JOIN traders AS t ON t.user_id = p.user_id
CROSS JOIN LATERAL unnest(s.rules) WITH ORDINALITY AS rule (title, number);
INSERT INTO trade_tags (user_id, id, category, name, created_at, updated_at)
SELECT user_id, id, category, name, now - days * interval '1 day', now - days * interval '1 day'
FROM clock, traders, (VALUES
    (1, 'setup', 'momentum'), (2, 'setup', 'reversal'), (3, 'setup', '5-minute "ORB"'),
    (4, 'mood', 'calm'), (5, 'mood', 'impatient'), (6, 'session', 'first hour')) AS tag (id, category, name);

-- Who trades a lot writes down little.
CREATE TEMP TABLE labelled ON COMMIT DROP AS
SELECT user_id, false AS is_option, id AS trade_id, number * 10000000 + id AS key, CASE user_id WHEN 'whale' THEN 0.03 ELSE 0.2 END AS share
FROM stocks JOIN traders USING (user_id)
UNION ALL
SELECT user_id, true, id, 70000000 + id, 0.2 FROM options JOIN traders USING (user_id);
CREATE TEMP TABLE setup_links ON COMMIT DROP AS
SELECT user_id, is_option, trade_id, key, p.id AS setup_id
FROM labelled JOIN playbook AS p USING (user_id)
WHERE (is_option OR p.name <> 'Premium selling') AND pg_temp.uniform(key, 70 + p.id) < share;
INSERT INTO stock_trade_playbook (user_id, stock_trade_id, setup_id) SELECT user_id, trade_id, setup_id FROM setup_links WHERE NOT is_option;
INSERT INTO option_trade_playbook (user_id, option_trade_id, setup_id) SELECT user_id, trade_id, setup_id FROM setup_links WHERE is_option;
CREATE TEMP TABLE tag_links ON COMMIT DROP AS
SELECT user_id, is_option, trade_id, t.id AS tag_id
FROM labelled JOIN trade_tags AS t USING (user_id)
WHERE pg_temp.uniform(key, 80 + t.id) < share * 0.6;
INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) SELECT user_id, trade_id, tag_id FROM tag_links WHERE NOT is_option;
INSERT INTO option_trade_tags (user_id, option_trade_id, tag_id) SELECT user_id, trade_id, tag_id FROM tag_links WHERE is_option;

-- For seven trades in ten the rules were answered, most of them: half kept to all, a few to none.
CREATE TEMP TABLE answers ON COMMIT DROP AS
SELECT l.user_id, is_option, trade_id, setup_id, r.id AS rule_id,
       pg_temp.uniform(key, 300 + r.id) < CASE WHEN discipline < 0.5 THEN 1 WHEN discipline < 0.65 THEN 0 ELSE 0.6 END AS is_followed
FROM setup_links AS l JOIN playbook_rules AS r ON r.user_id = l.user_id AND r.playbook_id = l.setup_id
CROSS JOIN LATERAL (SELECT pg_temp.uniform(key, 100 + setup_id) AS discipline) AS d
WHERE pg_temp.uniform(key, 90 + setup_id) < 0.7 AND pg_temp.uniform(key, 200 + r.id) < 0.94;
INSERT INTO stock_trade_rule_compliance (user_id, stock_trade_id, playbook_id, rule_id, is_followed)
SELECT user_id, trade_id, setup_id, rule_id, is_followed FROM answers WHERE NOT is_option;
INSERT INTO option_trade_rule_compliance (user_id, option_trade_id, playbook_id, rule_id, is_followed)
SELECT user_id, trade_id, setup_id, rule_id, is_followed FROM answers WHERE is_option;

INSERT INTO missed_trades (user_id, id, playbook_id, symbol, opportunity_date, notes, created_at, updated_at)
SELECT p.user_id, 100 * p.id + n, p.id, s.symbol, seen.at, CASE WHEN n % 3 = 0 THEN 'Was away from the screen' END, seen.at, seen.at
FROM clock AS c CROSS JOIN playbook AS p JOIN traders AS t USING (user_id)
CROSS JOIN LATERAL generate_series(1, CASE user_id WHEN 'beginner' THEN 4 ELSE 30 END) AS n
CROSS JOIN LATERAL (SELECT t.number * 100000 + p.id * 100 + n AS key) AS k
JOIN symbols AS s ON s.number = floor(30 * pg_temp.uniform(key, 60))
JOIN calendar AS d ON d.day = c.today - floor(t.days * pg_temp.uniform(key, 61) ^ 2)::int
CROSS JOIN LATERAL (SELECT (d.session + time '09:30' + pg_temp.uniform(key, 62) * interval '23000 seconds')::timestamptz(0) AS at) AS seen;

-- --- latest prices -----------------------------------------------------------------------------------------

DELETE FROM latest_price WHERE symbol IN (SELECT symbol FROM symbols);
INSERT INTO latest_price (symbol, price, observed_at)
SELECT DISTINCT ON (symbol) symbol, close, CASE WHEN crypto THEN now ELSE (day + time '16:00')::timestamptz END
FROM clock, bars ORDER BY symbol, day DESC;
INSERT INTO latest_price (symbol, expiration_date, option_type, strike_price, price, observed_at)
SELECT DISTINCT ON (symbol, o.expiration_date, o.option_type, o.strike_price) symbol, o.expiration_date, o.option_type, o.strike_price,
       greatest(round((o.entry_price * (0.4 + 1.2 * pg_temp.uniform(o.id, 65)))::numeric, 2), 0.01), p.observed_at
FROM options AS o JOIN latest_price AS p USING (symbol)
WHERE user_id = 'active' AND status = 'open' AND o.id <> 795 -- an option nobody quotes
  AND p.expiration_date IS NULL
ORDER BY symbol, o.expiration_date, o.option_type, o.strike_price, o.id;

\ir companies.sql
\ir notebook.sql

COMMIT;
ANALYZE public.stocks, public.options, public.daily_bars, public.account_settings, public.latest_price, public.playbook,
    public.playbook_rules, public.stock_trade_playbook, public.option_trade_playbook, public.stock_trade_rule_compliance,
    public.option_trade_rule_compliance, public.missed_trades, public.trade_tags, public.stock_trade_tags, public.option_trade_tags,
    public.symbols, public.earnings, public.trade_notes, public.images, public.notebook_notes;
