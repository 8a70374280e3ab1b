-- Accounts that keep to an exchange's calendar: with account_settings.holiday_country the market holidays of that country count as the
-- account's own, beside those in market_holidays. They are kept as one row for each country, because every computation of such a user
-- reads them.

CREATE TABLE IF NOT EXISTS public.market_calendars (
    country text COLLATE "C" PRIMARY KEY,
    dates date[] NOT NULL
);
COMMENT ON TABLE public.market_calendars IS 'the market holidays of each country in pnlcache.holidays; written by its trigger and by sql/apply.sh';

ALTER TABLE public.account_settings
    ADD COLUMN IF NOT EXISTS holiday_country text COLLATE "C" CHECK (holiday_country ~ '^[A-Z]{2}$');
COMMENT ON COLUMN public.account_settings.holiday_country IS 'whose market holidays the account keeps besides its own; NULL: nobody''s';

-- Brings the calendars up to date, and notes the settings of those accounts whose days changed.
CREATE OR REPLACE FUNCTION pnlcache.renew_market_calendars() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH present AS (
        SELECT country, array_agg(DISTINCT date ORDER BY date) AS dates FROM pnlcache.holidays WHERE kind = 'market' GROUP BY country
    ), gone AS (
        DELETE FROM public.market_calendars AS c WHERE NOT EXISTS (SELECT FROM present AS p WHERE p.country = c.country) RETURNING country
    ), renewed AS (
        INSERT INTO public.market_calendars AS c (country, dates) SELECT country, dates FROM present
        ON CONFLICT (country) DO UPDATE SET dates = EXCLUDED.dates WHERE c.dates IS DISTINCT FROM EXCLUDED.dates
        RETURNING country
    )
    UPDATE public.account_settings SET updated_at = now()
    WHERE holiday_country IN (SELECT country FROM gone UNION ALL SELECT country FROM renewed)
$$;
REVOKE ALL ON FUNCTION pnlcache.renew_market_calendars() FROM PUBLIC;

CREATE OR REPLACE FUNCTION pnlcache.renew_market_calendars_now() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pnlcache.renew_market_calendars();
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pnlcache.renew_market_calendars_now() FROM PUBLIC;
CREATE OR REPLACE TRIGGER market_calendars AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.holidays
    FOR EACH STATEMENT EXECUTE FUNCTION pnlcache.renew_market_calendars_now();

CREATE OR REPLACE VIEW pnlcache.account_settings AS
SELECT user_id, timezone, trading_day_start, week_start, starting_equity, risk_free_rate,
       market_holidays || coalesce((SELECT c.dates FROM public.market_calendars AS c WHERE c.country = s.holiday_country), '{}') AS market_holidays,
       currency
FROM public.account_settings AS s;

SELECT pnlcache.renew_market_calendars() \g /dev/null
