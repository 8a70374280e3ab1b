-- The rest of the default journal: what a trader writes, draws, plans and is reminded of. Ids are the application's, positive, and
-- each user's own, as those of trades; deleting a row takes along what hangs on it. No computation reads these tables: their
-- lists are datasets.

CREATE TABLE IF NOT EXISTS public.trade_notes (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    name text NOT NULL CHECK (name <> ''),
    content text NOT NULL DEFAULT '',
    trade_type text COLLATE "C" CHECK (trade_type IN ('stock', 'option')),
    stock_trade_id bigint,
    option_trade_id bigint,
    ai_metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT trade_notes_once_per_stock UNIQUE (user_id, stock_trade_id),
    CONSTRAINT trade_notes_once_per_option UNIQUE (user_id, option_trade_id),
    CONSTRAINT trade_notes_of_one_trade CHECK (
        (stock_trade_id IS NOT NULL) = (trade_type IS NOT DISTINCT FROM 'stock')
        AND (option_trade_id IS NOT NULL) = (trade_type IS NOT DISTINCT FROM 'option')),
    FOREIGN KEY (user_id, stock_trade_id) REFERENCES public.stocks ON DELETE CASCADE,
    FOREIGN KEY (user_id, option_trade_id) REFERENCES public.options ON DELETE CASCADE
);
COMMENT ON TABLE public.trade_notes IS 'notes on one trade each, or on none';
CREATE INDEX IF NOT EXISTS trade_notes_by_update ON public.trade_notes (user_id, updated_at DESC, id DESC);

-- The pictures themselves are elsewhere.
CREATE TABLE IF NOT EXISTS public.images (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    trade_note_id bigint NOT NULL,
    uploadcare_file_id text NOT NULL CHECK (uploadcare_file_id <> ''),
    original_filename text NOT NULL,
    mime_type text NOT NULL CHECK (mime_type <> ''),
    file_size bigint NOT NULL CHECK (file_size >= 0),
    width integer CHECK (width > 0),
    height integer CHECK (height > 0),
    alt_text text,
    caption text,
    position_in_note integer,
    is_deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT images_file_once UNIQUE (user_id, uploadcare_file_id),
    FOREIGN KEY (user_id, trade_note_id) REFERENCES public.trade_notes ON DELETE CASCADE
);
COMMENT ON TABLE public.images IS 'what is known of the pictures in trade notes';
CREATE INDEX IF NOT EXISTS images_by_note ON public.images (user_id, trade_note_id);

CREATE TABLE IF NOT EXISTS public.notebook_notes (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    parent_id bigint CHECK (parent_id <> id),
    title text NOT NULL,
    content text NOT NULL DEFAULT '',
    position integer NOT NULL DEFAULT 0,
    is_deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, parent_id) REFERENCES public.notebook_notes ON DELETE CASCADE
);
COMMENT ON COLUMN public.notebook_notes.parent_id IS 'notes form trees; NULL: a note at the top';
CREATE INDEX IF NOT EXISTS notebook_notes_by_parent ON public.notebook_notes (user_id, parent_id, position, id);

CREATE TABLE IF NOT EXISTS public.notebook_tags (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    color text NOT NULL DEFAULT '#gray',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT notebook_tags_name_once UNIQUE (user_id, name)
);

CREATE TABLE IF NOT EXISTS public.notebook_note_tags (
    user_id text COLLATE "C" NOT NULL,
    note_id bigint NOT NULL,
    tag_id bigint NOT NULL,
    PRIMARY KEY (user_id, note_id, tag_id),
    FOREIGN KEY (user_id, note_id) REFERENCES public.notebook_notes ON DELETE CASCADE,
    FOREIGN KEY (user_id, tag_id) REFERENCES public.notebook_tags ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS notebook_note_tags_by_tag ON public.notebook_note_tags (user_id, tag_id);

CREATE TABLE IF NOT EXISTS public.notebook_templates (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    name text NOT NULL CHECK (name <> ''),
    content text NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id)
);

CREATE TABLE IF NOT EXISTS public.notebook_reminders (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    note_id bigint NOT NULL,
    title text NOT NULL,
    description text,
    reminder_time timestamptz NOT NULL CHECK (isfinite(reminder_time)),
    is_completed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, note_id) REFERENCES public.notebook_notes ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS notebook_reminders_by_note ON public.notebook_reminders (user_id, note_id);

-- Dates and times of day are the user's.
CREATE TABLE IF NOT EXISTS public.calendar_events (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    reminder_id bigint,
    event_title text NOT NULL,
    event_description text,
    start_date date NOT NULL CHECK (isfinite(start_date)),
    end_date date NOT NULL CHECK (isfinite(end_date)),
    start_time time,
    end_time time,
    is_all_day boolean NOT NULL DEFAULT false,
    is_synced boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT calendar_events_end_after_start CHECK (end_date >= start_date),
    FOREIGN KEY (user_id, reminder_id) REFERENCES public.notebook_reminders ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS calendar_events_by_reminder ON public.calendar_events (user_id, reminder_id);

-- The tokens are the application's alone: no view shows them.
CREATE TABLE IF NOT EXISTS public.external_calendar_connections (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    provider text COLLATE "C" NOT NULL CHECK (provider IN ('google', 'microsoft')),
    access_token text,
    refresh_token text,
    token_expiry timestamptz,
    calendar_id text,
    is_active boolean NOT NULL DEFAULT true,
    last_sync_timestamp timestamptz,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    PRIMARY KEY (user_id, id)
);

CREATE TABLE IF NOT EXISTS public.external_calendar_events (
    id bigint NOT NULL CHECK (id > 0),
    user_id text COLLATE "C" NOT NULL,
    connection_id bigint NOT NULL,
    external_event_id text NOT NULL CHECK (external_event_id <> ''),
    title text NOT NULL,
    description text,
    start_time timestamptz NOT NULL CHECK (isfinite(start_time)),
    end_time timestamptz NOT NULL CHECK (isfinite(end_time)),
    location text,
    external_updated_at timestamptz,
    last_synced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT external_calendar_events_once UNIQUE (user_id, connection_id, external_event_id),
    CONSTRAINT external_calendar_events_end_after_start CHECK (end_time >= start_time),
    FOREIGN KEY (user_id, connection_id) REFERENCES public.external_calendar_connections ON DELETE CASCADE
);

-- Time zone and currency are in account_settings, with what else the computations read.
CREATE TABLE IF NOT EXISTS public.user_profile (
    user_id text COLLATE "C" PRIMARY KEY CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    display_name text,
    nickname text,
    profile_picture_uuid text,
    trading_experience_level text,
    primary_trading_goal text,
    asset_types text,
    trading_style text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What lists of playbooks show and no computation needs.
ALTER TABLE public.playbook
    ADD COLUMN IF NOT EXISTS icon text, ADD COLUMN IF NOT EXISTS emoji text, ADD COLUMN IF NOT EXISTS color text;
ALTER TABLE public.playbook_rules
    ADD COLUMN IF NOT EXISTS rule_type text COLLATE "C" NOT NULL DEFAULT 'entry_criteria'
        CHECK (rule_type IN ('entry_criteria', 'exit_criteria', 'market_factor')),
    ADD COLUMN IF NOT EXISTS description text,
    ADD COLUMN IF NOT EXISTS order_position integer NOT NULL DEFAULT 0;
