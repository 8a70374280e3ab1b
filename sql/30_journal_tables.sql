-- The default trading journal: the tables of a new installation. An application that has its own tables leaves this
-- file and the next one out and writes its own views (40_journal_views.sql shows their columns).
--
-- The constraints refuse every row the analytics would have to leave out. Upper bounds are written out
-- because numeric 'NaN' passes a bare "> 0": it sorts above every number. The limit of 10^10 money units
-- on price x quantity keeps every sum inside the engine's integers.

-- The zones an account may name, by their exact IANA spelling. (PostgreSQL itself also takes abbreviations, any case
-- and POSIX strings, which no time zone database can be asked for.) Run again after a tzdata update.
CREATE TABLE IF NOT EXISTS public.time_zones (
    name text COLLATE "C" PRIMARY KEY
);
INSERT INTO public.time_zones (name)
SELECT name FROM pg_timezone_names
WHERE name !~ '^(posix|right)/' AND name NOT IN ('Factory', 'localtime', 'posixrules', 'leapseconds')
ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS public.stocks (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> '' AND symbol = upper(symbol)),
    trade_type text COLLATE "C" NOT NULL CHECK (trade_type IN ('BUY', 'SELL')),
    order_type text COLLATE "C" CHECK (order_type IN ('MARKET', 'LIMIT', 'STOP', 'STOP_LIMIT')),
    number_shares numeric(18,8) NOT NULL CHECK (number_shares > 0 AND number_shares < 10000000000),
    entry_price numeric(18,8) NOT NULL CHECK (entry_price > 0 AND entry_price < 10000000000),
    exit_price numeric(18,8) CHECK (exit_price >= 0 AND exit_price < 10000000000),
    stop_loss numeric(18,8) CHECK (stop_loss > 0 AND stop_loss < 10000000000),
    initial_risk numeric(18,8) CHECK (initial_risk > 0 AND initial_risk < 10000000000),
    take_profit numeric(18,8) CHECK (take_profit < 10000000000),
    initial_target numeric(18,8) CHECK (initial_target < 10000000000),
    profit_target numeric(18,8) CHECK (profit_target < 10000000000),
    intended_entry_price numeric(18,8) CHECK (intended_entry_price < 10000000000),
    commissions numeric(18,8) NOT NULL DEFAULT 0 CHECK (commissions >= 0 AND commissions < 10000000000),
    fees numeric(18,8) NOT NULL DEFAULT 0 CHECK (fees < 10000000000), -- negative: a rebate
    entry_date timestamptz NOT NULL CHECK (entry_date >= '1900-01-01T00:00:00Z' AND entry_date < 'infinity'),
    exit_date timestamptz,
    trade_ratings integer CHECK (trade_ratings BETWEEN 1 AND 5),
    reviewed boolean NOT NULL DEFAULT false,
    mistakes text,
    brokerage_name text,
    is_deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT stocks_exit_complete CHECK ((exit_date IS NULL) = (exit_price IS NULL)),
    CONSTRAINT stocks_exit_after_entry CHECK (exit_date >= entry_date),
    CONSTRAINT stocks_entry_size CHECK (entry_price * number_shares < 10000000000),
    CONSTRAINT stocks_exit_size CHECK (exit_price * number_shares < 10000000000)
);
COMMENT ON TABLE public.stocks IS 'trades in shares, ETFs, spot crypto: anything with multiplier 1';
COMMENT ON COLUMN public.stocks.trade_type IS 'the opening side: BUY (long) or SELL (short sale)';
COMMENT ON COLUMN public.stocks.initial_risk IS 'money the trader planned to lose; overrides stop_loss';
COMMENT ON COLUMN public.stocks.commissions IS 'both sides together';
COMMENT ON COLUMN public.stocks.mistakes IS 'a list separated by , or ;';

-- One user's closed trades in the order of their exits, which is the order of every computation.
CREATE INDEX IF NOT EXISTS stocks_by_exit ON public.stocks (user_id, exit_date, id) WHERE NOT is_deleted;

CREATE TABLE IF NOT EXISTS public.options (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> '' AND symbol = upper(symbol)),
    strategy_type text NOT NULL CHECK (strategy_type <> ''),
    trade_direction text COLLATE "C" CHECK (trade_direction IN ('Bullish', 'Bearish', 'Neutral')),
    side text COLLATE "C" NOT NULL DEFAULT 'long' CHECK (side IN ('long', 'short')),
    option_type text COLLATE "C" NOT NULL CHECK (option_type IN ('Call', 'Put')),
    order_type text COLLATE "C" CHECK (order_type IN ('MARKET', 'LIMIT', 'STOP', 'STOP_LIMIT')),
    strike_price numeric(18,8) NOT NULL CHECK (strike_price > 0 AND strike_price < 10000000000),
    expiration_date date NOT NULL CHECK (isfinite(expiration_date)),
    number_of_contracts integer NOT NULL CHECK (number_of_contracts BETWEEN 1 AND 1000000),
    multiplier integer NOT NULL DEFAULT 100 CHECK (multiplier BETWEEN 1 AND 100000),
    entry_price numeric(18,8) NOT NULL CHECK (entry_price >= 0 AND entry_price < 10000000000),
    exit_price numeric(18,8) CHECK (exit_price >= 0 AND exit_price < 10000000000),
    stop_loss numeric(18,8) CHECK (stop_loss > 0 AND stop_loss < 10000000000),
    initial_risk numeric(18,8) CHECK (initial_risk > 0 AND initial_risk < 10000000000),
    take_profit numeric(18,8) CHECK (take_profit < 10000000000),
    initial_target numeric(18,8) CHECK (initial_target < 10000000000),
    profit_target numeric(18,8) CHECK (profit_target < 10000000000),
    intended_entry_price numeric(18,8) CHECK (intended_entry_price < 10000000000),
    total_premium numeric, -- kept for the client; no computation reads it
    commissions numeric(18,8) NOT NULL DEFAULT 0 CHECK (commissions >= 0 AND commissions < 10000000000),
    fees numeric(18,8) NOT NULL DEFAULT 0 CHECK (fees < 10000000000),
    implied_volatility numeric(8,4) CHECK (implied_volatility > 0 AND implied_volatility < 10000),
    entry_date timestamptz NOT NULL CHECK (entry_date >= '1900-01-01T00:00:00Z' AND entry_date < 'infinity'),
    exit_date timestamptz,
    status text COLLATE "C" NOT NULL CHECK (status IN ('open', 'closed', 'expired', 'assigned', 'exercised')),
    trade_ratings integer CHECK (trade_ratings BETWEEN 1 AND 5),
    reviewed boolean NOT NULL DEFAULT false,
    mistakes text,
    brokerage_name text,
    is_deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT options_open_without_exit CHECK ((status = 'open') = (exit_date IS NULL)),
    CONSTRAINT options_closed_with_price CHECK (status <> 'closed' OR exit_price IS NOT NULL),
    CONSTRAINT options_price_with_exit CHECK (exit_date IS NOT NULL OR exit_price IS NULL),
    CONSTRAINT options_exit_after_entry CHECK (exit_date >= entry_date),
    CONSTRAINT options_entry_size CHECK (entry_price * number_of_contracts * multiplier < 10000000000),
    CONSTRAINT options_exit_size CHECK (exit_price * number_of_contracts * multiplier < 10000000000)
);
COMMENT ON TABLE public.options IS 'option trades; one row is one leg; prices are per unit of the underlying';
COMMENT ON COLUMN public.options.side IS 'long: bought to open; short: sold to open';
COMMENT ON COLUMN public.options.exit_price IS 'NULL with expired, assigned or exercised means 0';
COMMENT ON COLUMN public.options.implied_volatility IS 'percent points at entry; 0 from an old client becomes NULL';

CREATE INDEX IF NOT EXISTS options_by_exit ON public.options (user_id, exit_date, id) WHERE NOT is_deleted;

CREATE OR REPLACE FUNCTION public.options_unknown_volatility() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.implied_volatility := NULL;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER options_unknown_volatility BEFORE INSERT OR UPDATE ON public.options
    FOR EACH ROW WHEN (NEW.implied_volatility = 0) EXECUTE FUNCTION public.options_unknown_volatility();

-- Shared by all users; prices are as quoted that day.
CREATE TABLE IF NOT EXISTS public.daily_bars (
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> '' AND symbol = upper(symbol)),
    date date NOT NULL CHECK (isfinite(date)),
    open numeric(18,8) CHECK (open > 0 AND open < 10000000000),
    high numeric(18,8) CHECK (high > 0 AND high < 10000000000),
    low numeric(18,8) CHECK (low > 0 AND low < 10000000000),
    close numeric(18,8) NOT NULL CHECK (close > 0 AND close < 10000000000),
    volume bigint CHECK (volume >= 0),
    PRIMARY KEY (symbol, date),
    CONSTRAINT daily_bars_low_high CHECK (low <= high)
);
COMMENT ON TABLE public.daily_bars IS 'daily prices by symbol, shared by all users';

-- A user without a row has the defaults.
CREATE TABLE IF NOT EXISTS public.account_settings (
    user_id text COLLATE "C" PRIMARY KEY CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    timezone text COLLATE "C" NOT NULL DEFAULT 'America/New_York' REFERENCES public.time_zones (name),
    trading_day_start integer NOT NULL DEFAULT 0 CHECK (trading_day_start BETWEEN 0 AND 23),
    week_start text COLLATE "C" NOT NULL DEFAULT 'sunday' CHECK (week_start IN ('sunday', 'monday')),
    starting_equity numeric(18,8) CHECK (starting_equity < 10000000000),
    risk_free_rate numeric(18,8) NOT NULL DEFAULT 0.02 CHECK (risk_free_rate > -1 AND risk_free_rate < 10000),
    market_holidays date[] NOT NULL DEFAULT '{}',
    currency text COLLATE "C" NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_settings_holidays CHECK (
        coalesce(array_ndims(market_holidays), 1) = 1 AND cardinality(market_holidays) <= 10000
        AND array_position(market_holidays, NULL) IS NULL
        AND 'infinity' <> ALL (market_holidays) AND '-infinity' <> ALL (market_holidays))
);
COMMENT ON TABLE public.account_settings IS 'how one user''s days and ratios are computed; defaults when there is no row';
COMMENT ON COLUMN public.account_settings.trading_day_start IS 'whole local hour; 12 and later: the session opens the evening before';
COMMENT ON COLUMN public.account_settings.starting_equity IS 'NULL: unknown';
COMMENT ON COLUMN public.account_settings.risk_free_rate IS 'annual, a fraction: 0.02 is 2 %';

-- --- what a trader writes about trades: playbooks with their rules, tags, missed opportunities -----------------

-- Ids are the application's, positive, and each user's own, as those of trades. Deleting a trade, playbook or tag
-- takes along what hangs on it. Names are trimmed; a user has each only once (a tag: in each category).

CREATE TABLE IF NOT EXISTS public.playbook (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    name text COLLATE "C" NOT NULL CHECK (name <> '' AND name = btrim(name, E' \t\n\r')),
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT playbook_name_once UNIQUE (user_id, name)
);
COMMENT ON TABLE public.playbook IS 'set-ups a trader trades by';

CREATE TABLE IF NOT EXISTS public.stock_trade_playbook (
    user_id text COLLATE "C" NOT NULL,
    stock_trade_id bigint NOT NULL,
    setup_id bigint NOT NULL,
    PRIMARY KEY (user_id, stock_trade_id, setup_id),
    FOREIGN KEY (user_id, stock_trade_id) REFERENCES public.stocks ON DELETE CASCADE,
    FOREIGN KEY (user_id, setup_id) REFERENCES public.playbook ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS stock_trade_playbook_by_setup ON public.stock_trade_playbook (user_id, setup_id);
COMMENT ON COLUMN public.stock_trade_playbook.setup_id IS 'the playbook';

CREATE TABLE IF NOT EXISTS public.option_trade_playbook (
    user_id text COLLATE "C" NOT NULL,
    option_trade_id bigint NOT NULL,
    setup_id bigint NOT NULL,
    PRIMARY KEY (user_id, option_trade_id, setup_id),
    FOREIGN KEY (user_id, option_trade_id) REFERENCES public.options ON DELETE CASCADE,
    FOREIGN KEY (user_id, setup_id) REFERENCES public.playbook ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS option_trade_playbook_by_setup ON public.option_trade_playbook (user_id, setup_id);
COMMENT ON COLUMN public.option_trade_playbook.setup_id IS 'the playbook';

CREATE TABLE IF NOT EXISTS public.playbook_rules (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL,
    playbook_id bigint NOT NULL,
    title text NOT NULL CHECK (title <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT playbook_rules_of_playbook UNIQUE (user_id, playbook_id, id),
    FOREIGN KEY (user_id, playbook_id) REFERENCES public.playbook ON DELETE CASCADE
);

-- Whether a trade kept to a rule. No row: nobody said.
CREATE TABLE IF NOT EXISTS public.stock_trade_rule_compliance (
    user_id text COLLATE "C" NOT NULL,
    stock_trade_id bigint NOT NULL,
    playbook_id bigint NOT NULL,
    rule_id bigint NOT NULL,
    is_followed boolean NOT NULL,
    PRIMARY KEY (user_id, stock_trade_id, playbook_id, rule_id),
    FOREIGN KEY (user_id, stock_trade_id) REFERENCES public.stocks ON DELETE CASCADE,
    FOREIGN KEY (user_id, playbook_id, rule_id) REFERENCES public.playbook_rules (user_id, playbook_id, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS stock_trade_rule_compliance_by_rule
    ON public.stock_trade_rule_compliance (user_id, playbook_id, rule_id);

CREATE TABLE IF NOT EXISTS public.option_trade_rule_compliance (
    user_id text COLLATE "C" NOT NULL,
    option_trade_id bigint NOT NULL,
    playbook_id bigint NOT NULL,
    rule_id bigint NOT NULL,
    is_followed boolean NOT NULL,
    PRIMARY KEY (user_id, option_trade_id, playbook_id, rule_id),
    FOREIGN KEY (user_id, option_trade_id) REFERENCES public.options ON DELETE CASCADE,
    FOREIGN KEY (user_id, playbook_id, rule_id) REFERENCES public.playbook_rules (user_id, playbook_id, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS option_trade_rule_compliance_by_rule
    ON public.option_trade_rule_compliance (user_id, playbook_id, rule_id);

CREATE TABLE IF NOT EXISTS public.missed_trades (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL,
    playbook_id bigint NOT NULL,
    symbol text COLLATE "C" CHECK (symbol <> '' AND symbol = upper(symbol)),
    opportunity_date timestamptz NOT NULL CHECK (opportunity_date >= '1900-01-01T00:00:00Z' AND opportunity_date < 'infinity'),
    notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, playbook_id) REFERENCES public.playbook ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS missed_trades_by_playbook ON public.missed_trades (user_id, playbook_id, opportunity_date);
COMMENT ON TABLE public.missed_trades IS 'opportunities of a playbook that were not taken';

CREATE TABLE IF NOT EXISTS public.trade_tags (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    category text COLLATE "C" NOT NULL DEFAULT 'general' CHECK (category <> '' AND category = btrim(category, E' \t\n\r')),
    name text COLLATE "C" NOT NULL CHECK (name <> '' AND name = btrim(name, E' \t\n\r')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT trade_tags_name_once UNIQUE (user_id, category, name)
);

CREATE TABLE IF NOT EXISTS public.stock_trade_tags (
    user_id text COLLATE "C" NOT NULL,
    stock_trade_id bigint NOT NULL,
    tag_id bigint NOT NULL,
    PRIMARY KEY (user_id, stock_trade_id, tag_id),
    FOREIGN KEY (user_id, stock_trade_id) REFERENCES public.stocks ON DELETE CASCADE,
    FOREIGN KEY (user_id, tag_id) REFERENCES public.trade_tags ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS stock_trade_tags_by_tag ON public.stock_trade_tags (user_id, tag_id);

CREATE TABLE IF NOT EXISTS public.option_trade_tags (
    user_id text COLLATE "C" NOT NULL,
    option_trade_id bigint NOT NULL,
    tag_id bigint NOT NULL,
    PRIMARY KEY (user_id, option_trade_id, tag_id),
    FOREIGN KEY (user_id, option_trade_id) REFERENCES public.options ON DELETE CASCADE,
    FOREIGN KEY (user_id, tag_id) REFERENCES public.trade_tags ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS option_trade_tags_by_tag ON public.option_trade_tags (user_id, tag_id);

-- --- prices of open positions, shared by all users --------------------------------------------------------------

CREATE TABLE IF NOT EXISTS public.latest_price (
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> '' AND symbol = upper(symbol)),
    expiration_date date CHECK (isfinite(expiration_date)),
    option_type text COLLATE "C" CHECK (option_type IN ('Call', 'Put')),
    strike_price numeric(18,8) CHECK (strike_price > 0 AND strike_price < 10000000000),
    price numeric(18,8) NOT NULL CHECK (price >= 0 AND price < 10000000000),
    observed_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(observed_at)),
    CONSTRAINT latest_price_share_or_option CHECK (num_nulls(expiration_date, option_type, strike_price) IN (0, 3))
);
COMMENT ON TABLE public.latest_price IS 'the last known price of a share, or premium of an option per unit of the underlying';
COMMENT ON COLUMN public.latest_price.expiration_date IS 'NULL, like option_type and strike_price: the price of a share';

-- One price each. (The second index also finds everything of a symbol; in it rows of shares are distinct, as NULLs are.)
CREATE UNIQUE INDEX IF NOT EXISTS latest_price_once_per_share ON public.latest_price (symbol) WHERE expiration_date IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS latest_price_once_per_option
    ON public.latest_price (symbol, expiration_date, option_type, strike_price);
