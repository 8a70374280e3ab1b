# pnlcache: `make help` lists the targets.
#
# Programs and tests are built under build/$(VARIANT)/. VARIANT is release, asan or tsan; CC may be gcc or
# clang. CFLAGS, LDFLAGS, DESTDIR and prefix from the command line are appended to ours, never replaced.

VARIANT ?= release
DEV     ?= 1
B       := build/$(VARIANT)

prefix  ?= /usr/local
bindir  ?= $(prefix)/bin
libexecdir ?= $(prefix)/libexec
datadir ?= $(prefix)/share/pnlcache
sysconfdir ?= /etc
mandir  ?= $(prefix)/share/man
unitdir ?= /lib/systemd/system

STATE   ?= var
PORT    ?= 8080

VERSION := 0.1.0
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

# --- flags -----------------------------------------------------------------------------------------

PACKAGES := libpq hiredis libcjson libcrypto libssl libdeflate libxxhash
# Debian 12 and later ship fcgi.pc; -lfcgi is the same without it.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lfcgi -lm -lpthread

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes \
        -Wold-style-definition -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wconversion -Wno-sign-conversion \
        -Wimplicit-fallthrough -Wnull-dereference
ifeq ($(DEV),1)
WARN += -Werror
endif

HARDEN := -fstack-protector-strong -fPIE -fno-plt
HARDEN_LD := -pie -Wl,-z,relro -Wl,-z,now

OPT_release := -O2 -g -D_FORTIFY_SOURCE=2
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer

OUR_CFLAGS = -std=gnu11 -I. $(WARN) $(HARDEN) $(OPT_$(VARIANT)) -ffp-contract=off -fno-strict-aliasing \
             -D_GNU_SOURCE -DPNLCACHE_VERSION='"$(VERSION)"' -DPNLCACHE_COMMIT='"$(COMMIT)"' $(PKG_CFLAGS)
OUR_LDFLAGS = $(HARDEN_LD) $(filter -fsanitize=%,$(OPT_$(VARIANT)))

COMPILE = $(CC) $(OUR_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK    = $(CC) $(OUR_LDFLAGS)

# --- sources: one folder, one layer (tools/check_layers.sh holds the allow-list) ---------------------

LIB_SRC    := $(sort $(wildcard lib/base/*.c lib/json/*.c lib/store/*.c))
JOBS_SRC   := $(sort $(wildcard jobs/analytics/*.c jobs/*.c))
FCGI_SRC   := $(sort $(filter-out fcgi/main.c,$(wildcard fcgi/*.c)))
WORKER_SRC := $(sort $(filter-out worker/main.c,$(wildcard worker/*.c)))
TEST_SRC   := $(sort $(wildcard tests/unit/test_*.c))

objects  = $(patsubst %.c,$(B)/%.o,$(1))
PROGRAMS := $(if $(wildcard fcgi/main.c),$(B)/pnlcache.fcgi) $(if $(wildcard worker/main.c),$(B)/pnlcache-worker)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/%,$(TEST_SRC))

.DEFAULT_GOAL := all
.PHONY: all
all: $(PROGRAMS) ## build both programs

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(B)/libshared.a: $(call objects,$(LIB_SRC) $(JOBS_SRC))
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/libfcgi_responder.a: $(call objects,$(FCGI_SRC))
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/libworker.a: $(call objects,$(WORKER_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/pnlcache.fcgi: $(B)/fcgi/main.o $(B)/libfcgi_responder.a $(B)/libshared.a
	$(LINK) -o $@ $^ $(PKG_LIBS) $(LDFLAGS)
$(B)/pnlcache-worker: $(B)/worker/main.o $(B)/libworker.a $(B)/libshared.a
	$(LINK) -o $@ $^ $(PKG_LIBS) $(LDFLAGS)

$(B)/tests/%: $(B)/tests/unit/%.o $(B)/libfcgi_responder.a $(B)/libworker.a $(B)/libshared.a
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(PKG_LIBS) -lcmocka $(LDFLAGS)

.PHONY: unit
unit: $(UNIT_TESTS) ## run the unit tests of this VARIANT
	@set -e; for t in $(UNIT_TESTS); do $$t; done

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## remove build/
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
