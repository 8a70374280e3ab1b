-- Trades as the lists show them: their P&L and status as of now, the days they fall on in their account. Over the views of 40, whoever wrote those.

-- The day of an instant in an account: that of its time zone, or, where a trading day begins at another hour than midnight, the trading
-- day (metrics specification 2). Without settings: New York, midnight.
CREATE OR REPLACE FUNCTION pnlcache.account_day(at timestamptz, timezone text, trading_day_start integer) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (at AT TIME ZONE coalesce(timezone, 'America/New_York')
            + make_interval(hours => CASE WHEN trading_day_start < 12 THEN -trading_day_start ELSE coalesce(24 - trading_day_start, 0) END))::date
$$;

-- pnl as in the metrics specification 5: rounded once, costs taken off. A trade that exits in the future is open.
CREATE OR REPLACE VIEW pnlcache.stock_list AS
SELECT user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss, initial_risk, take_profit,
       initial_target, profit_target, intended_entry_price, commissions, fees, entry_date,
       NULLIF(exit_date, 'infinity') AS exit_date,
       CASE WHEN exit_date <= now() THEN 'closed' ELSE 'open' END AS status,
       CASE WHEN exit_date <= now() THEN
           round(CASE upper(trade_type) WHEN 'SELL' THEN -1 ELSE 1 END * (exit_price - entry_price) * number_shares, 8)
           - commissions - fees END AS pnl,
       trade_ratings, reviewed, mistakes, brokerage_name, created_at, updated_at,
       pnlcache.account_day(entry_date, a.timezone, a.trading_day_start) AS entry_day,
       pnlcache.account_day(NULLIF(exit_date, 'infinity'), a.timezone, a.trading_day_start) AS exit_day
FROM pnlcache.stock_trades LEFT JOIN pnlcache.account_settings AS a USING (user_id);

-- An option that expired, was assigned or exercised without a price is worth nothing at its end.
CREATE OR REPLACE VIEW pnlcache.option_list AS
SELECT user_id, id, symbol, strategy_type, trade_direction, side, option_type, strike_price, expiration_date, number_of_contracts,
       multiplier, entry_price, exit_price, total_premium, implied_volatility, order_type, stop_loss, initial_risk, take_profit,
       initial_target, profit_target, intended_entry_price, commissions, fees, entry_date,
       NULLIF(exit_date, 'infinity') AS exit_date,
       CASE WHEN exit_date <= now() THEN lower(status) ELSE 'open' END AS status,
       CASE WHEN exit_date <= now() THEN
           round(CASE lower(side) WHEN 'short' THEN -1 ELSE 1 END * (coalesce(exit_price, 0) - entry_price)
                 * number_of_contracts * multiplier, 8) - commissions - fees END AS pnl,
       trade_ratings, reviewed, mistakes, brokerage_name, created_at, updated_at,
       pnlcache.account_day(entry_date, a.timezone, a.trading_day_start) AS entry_day,
       pnlcache.account_day(NULLIF(exit_date, 'infinity'), a.timezone, a.trading_day_start) AS exit_day
FROM pnlcache.option_trades LEFT JOIN pnlcache.account_settings AS a USING (user_id);

-- What the lists and their counts filter by, in one place; an argument that is NULL leaves everything. The planner puts the body of such a
-- function in the place of its call, as it does with a view, as long as it is a single SELECT, STABLE, and neither STRICT nor SECURITY
-- DEFINER nor with a SET: a list has the plan it would have with the conditions written out, and --explain shows it.
CREATE OR REPLACE FUNCTION pnlcache.filtered_stocks(of_user text, of_symbol text, of_type text, of_status text, only_open boolean, date_field text,
                                                    first_date date, last_date date, least_pnl numeric, most_pnl numeric)
RETURNS SETOF pnlcache.stock_list LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT * FROM pnlcache.stock_list
    WHERE user_id = of_user
      AND (of_symbol IS NULL OR upper(symbol) = of_symbol)
      AND (of_type IS NULL OR upper(trade_type) = of_type)
      AND (of_status IS NULL OR status = of_status)
      AND (NOT only_open OR status = 'open')
      AND (first_date IS NULL OR CASE date_field WHEN 'exit' THEN exit_day ELSE entry_day END >= first_date)
      AND (last_date IS NULL OR CASE date_field WHEN 'exit' THEN exit_day ELSE entry_day END <= last_date)
      AND (least_pnl IS NULL OR pnl >= least_pnl)
      AND (most_pnl IS NULL OR pnl <= most_pnl)
$$;

CREATE OR REPLACE FUNCTION pnlcache.filtered_options(of_user text, of_symbol text, of_strategy text, of_type text, of_direction text, of_status text,
                                                     only_open boolean, date_field text, first_date date, last_date date, least_pnl numeric,
                                                     most_pnl numeric)
RETURNS SETOF pnlcache.option_list LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT * FROM pnlcache.option_list
    WHERE user_id = of_user
      AND (of_symbol IS NULL OR upper(symbol) = of_symbol)
      AND (of_strategy IS NULL OR lower(strategy_type) = lower(of_strategy))
      AND (of_type IS NULL OR lower(option_type) = lower(of_type))
      AND (of_direction IS NULL OR lower(trade_direction) = lower(of_direction))
      AND (of_status IS NULL OR status = of_status OR (of_status = 'closed' AND status <> 'open'))
      AND (NOT only_open OR status = 'open')
      AND (first_date IS NULL OR CASE date_field WHEN 'exit' THEN exit_day ELSE entry_day END >= first_date)
      AND (last_date IS NULL OR CASE date_field WHEN 'exit' THEN exit_day ELSE entry_day END <= last_date)
      AND (least_pnl IS NULL OR pnl >= least_pnl)
      AND (most_pnl IS NULL OR pnl <= most_pnl)
$$;

-- Where a trade comes in a list: one number that always ascends, whatever the list is sorted by; what has no value comes last.
-- 0 for lists sorted by symbol. Exact: a cursor is compared with it.
CREATE OR REPLACE FUNCTION pnlcache.trade_rank(sort text, direction text, entry_date timestamptz, exit_date timestamptz, pnl numeric,
                                               id bigint) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(CASE direction WHEN 'desc' THEN -1 ELSE 1 END
                    * CASE sort WHEN 'entry_date' THEN extract(epoch FROM entry_date) WHEN 'exit_date' THEN extract(epoch FROM exit_date)
                                WHEN 'pnl' THEN pnl WHEN 'id' THEN id::numeric ELSE 0 END, 'Infinity'::numeric)
$$;

GRANT SELECT ON pnlcache.stock_list, pnlcache.option_list TO pnlcache;
GRANT EXECUTE ON FUNCTION pnlcache.account_day(timestamptz, text, integer),
    pnlcache.trade_rank(text, text, timestamptz, timestamptz, numeric, bigint),
    pnlcache.filtered_stocks(text, text, text, text, boolean, text, date, date, numeric, numeric),
    pnlcache.filtered_options(text, text, text, text, text, text, boolean, text, date, date, numeric, numeric) TO pnlcache;
