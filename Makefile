# pnlcache: `make help` lists the targets.
#
# Programs and tests are built under build/$(VARIANT)/. VARIANT is release, asan, tsan or fuzz; CC may be gcc or
# clang. CFLAGS, LDFLAGS, DESTDIR and prefix from the command line are appended to ours, never replaced. V=1 shows
# the compiler's command lines.

VARIANT ?= release
DEV     ?= 1
B       := build/$(VARIANT)

prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
libexecdir ?= $(prefix)/libexec
datadir    ?= $(prefix)/share/pnlcache
sysconfdir ?= /etc
mandir     ?= $(prefix)/share/man
unitdir    ?= /lib/systemd/system
chart_js   ?= /usr/share/javascript/chart.js/chart.min.js

STATE    ?= var
PORT     ?= 8080
SAMPLE   ?=
SHIFT_TO ?=
SECONDS  ?= 30

PYTHON  ?= /usr/bin/python3
VERSION := 0.1.0
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

# --- flags -----------------------------------------------------------------------------------------

PACKAGES := libpq hiredis libcjson libcrypto libssl libdeflate libxxhash
# Packs faster than libdeflate, where it exists (lib/store/gzip.h); ISAL= on the command line does without.
ISAL     := $(shell pkg-config --exists libisal && echo libisal)
PACKAGES += $(ISAL)
# Debian 12 and later ship fcgi.pc; -lfcgi is the same without it.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
# libpq is loaded when it is needed: lib/store/libpq.h.
PKG_LIBS   := $(shell pkg-config --libs $(filter-out libpq,$(PACKAGES)) 2>/dev/null) -lfcgi -lm -lpthread -ldl

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes \
        -Wold-style-definition -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wconversion -Wno-sign-conversion \
        -Wimplicit-fallthrough -Wnull-dereference
ifeq ($(DEV),1)
WARN += -Werror
endif

HARDEN := -fstack-protector-strong -fPIE -fno-plt
HARDEN_LD := -pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed

OPT_release := -O2 -g -D_FORTIFY_SOURCE=2
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

OUR_CFLAGS = -std=gnu11 -I. $(WARN) $(HARDEN) $(OPT_$(VARIANT)) -ffp-contract=off -fno-strict-aliasing \
             -D_GNU_SOURCE -DPNLCACHE_VERSION='"$(VERSION)"' -DPNLCACHE_COMMIT='"$(COMMIT)"' $(PKG_CFLAGS)
OUR_LDFLAGS = $(HARDEN_LD) $(filter -fsanitize=%,$(OPT_$(VARIANT)))

show    = $(if $(V),,@echo '  $(1) $@';)
COMPILE = $(call show,CC  )$(CC) $(OUR_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK    = $(call show,LINK)$(CC) $(OUR_LDFLAGS)

# --- sources: one folder, one layer (tools/check_layers.sh holds the allow-list) ---------------------

NO_GZIP     := lib/store/$(if $(ISAL),gzip_libdeflate.c,gzip_isal.c)
LIB_SRC     := $(sort $(filter-out $(NO_GZIP),$(wildcard lib/base/*.c lib/json/*.c lib/store/*.c)))
JOBS_SRC    := $(sort $(wildcard jobs/analytics/*.c jobs/*.c))
FCGI_SRC    := $(sort $(filter-out fcgi/main.c,$(wildcard fcgi/*.c)))
WORKER_SRC  := $(sort $(filter-out worker/main.c,$(wildcard worker/*.c)))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))

objects     = $(patsubst %.c,$(B)/%.o,$(1))
executables = $(patsubst %.c,$(B)/%,$(sort $(wildcard $(1))))
PROGRAMS    := $(B)/pnlcache.fcgi $(B)/pnlcache-worker
UNIT_TESTS  := $(call executables,tests/unit/test_*.c)
STORE_TESTS := $(call executables,tests/store/test_*.c)
FUZZERS     := $(call executables,tests/fuzz/*.c)
BENCHES     := $(call executables,bench/*.c)
HELPERS     := $(call executables,tests/programs/*.c)
PRELOADS    := $(patsubst %.c,$(B)/%.so,$(sort $(wildcard tests/preload/*.c)))
ARCHIVES    := $(B)/libfcgi_responder.a $(B)/libworker.a $(B)/libshared.a

.DEFAULT_GOAL := all
.SECONDARY:
.PHONY: all
all: $(PROGRAMS) ## build both programs

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

%.a:
	@rm -f $@
	$(call show,AR  )$(AR) rcs $@ $^
$(B)/libshared.a: $(call objects,$(LIB_SRC) $(JOBS_SRC))
$(B)/libfcgi_responder.a: $(call objects,$(FCGI_SRC))
$(B)/libworker.a: $(call objects,$(WORKER_SRC))
$(B)/libsupport.a: $(call objects,$(SUPPORT_SRC))

$(B)/pnlcache.fcgi: $(B)/fcgi/main.o $(B)/libfcgi_responder.a $(B)/libshared.a
	$(LINK) -o $@ $^ $(PKG_LIBS) $(LDFLAGS)
$(B)/pnlcache-worker: $(B)/worker/main.o $(B)/libworker.a $(B)/libshared.a
	$(LINK) -o $@ $^ $(PKG_LIBS) $(LDFLAGS)
$(UNIT_TESTS) $(STORE_TESTS): $(B)/%: $(B)/%.o $(B)/libsupport.a $(ARCHIVES)
	$(LINK) -o $@ $^ $(PKG_LIBS) -lcmocka $(LDFLAGS)
$(BENCHES) $(HELPERS): $(B)/%: $(B)/%.o $(ARCHIVES)
	$(LINK) -o $@ $^ $(PKG_LIBS) $(LDFLAGS)
# Never sanitized: they are loaded before a sanitizer's own library.
$(PRELOADS): $(B)/%.so: %.c
	@mkdir -p $(@D)
	$(call show,CC  )$(CC) -std=gnu11 -I. $(WARN) -D_GNU_SOURCE -O2 -g -fPIC -shared -MMD -MP $(CFLAGS) -o $@ $< -ldl $(LDFLAGS)
$(FUZZERS): $(B)/%: $(B)/%.o $(ARCHIVES)
	$(LINK) -fsanitize=fuzzer -o $@ $^ $(PKG_LIBS) $(LDFLAGS)

# --- running ---------------------------------------------------------------------------------------

.PHONY: run
run: ## install what is missing, build, and serve sample data: STATE=var PORT=8080 SAMPLE=DIR SHIFT_TO=today
	@tools/install_packages.sh run
	@$(MAKE) --no-print-directory DEV=0 -j2 all
	@STATE='$(STATE)' PORT='$(PORT)' SAMPLE='$(SAMPLE)' SHIFT_TO='$(SHIFT_TO)' BUILD_DIR='$(B)' \
	    exec setpriv --pdeathsig TERM tools/run.sh

.PHONY: reload
reload: ## have the programs of `make run` read their settings and datasets again: STATE=var
	@kill -HUP $$(tools/private_servers.sh status '$(STATE)' | awk '($$1 == "responder" || $$1 == "worker") && $$2 == "running" {print $$3}')

# --- tests -----------------------------------------------------------------------------------------

TEST = BUILD_DIR='$(B)' UNIT_TESTS='$(UNIT_TESTS)' STORE_TESTS='$(STORE_TESTS)' CC='$(CC)' PYTHON='$(PYTHON)' tests/run.sh

.PHONY: test test-run test-programs test-long unit store integration
test: ## everything: unit, store and integration tests and the checks
	@tools/install_packages.sh run test
	@$(MAKE) --no-print-directory -j2 test-programs
	@$(MAKE) --no-print-directory test-run
test-run: # for `make test`, once pkg-config is there
	@$(TEST) unit store checks integration
test-programs: $(PROGRAMS) $(UNIT_TESTS) $(STORE_TESTS) $(HELPERS) $(PRELOADS)

test-long: test ## make test, then the long tests and a short run of every fuzzer
	@$(TEST) long
	@$(MAKE) --no-print-directory fuzz SECONDS=10

unit: $(UNIT_TESTS) ## only the unit tests, of this VARIANT
	@$(TEST) unit
store: $(STORE_TESTS) ## only the tests of lib/store against private servers
	@$(TEST) store
integration: $(PROGRAMS) $(HELPERS) $(PRELOADS) ## only the integration tests
	@$(TEST) integration

# The address sanitizer also looks for leaks; its one suppression is explained in tests/lsan.supp.
SANITIZER_OPTIONS := ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
    LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1 \
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

.PHONY: check-sanitize
check-sanitize: ## unit, store and integration tests under ASan+UBSan, unit and store tests under TSan
	@tools/install_packages.sh run test
	@$(MAKE) --no-print-directory -j2 VARIANT=asan test-programs
	@$(MAKE) --no-print-directory -j2 VARIANT=tsan test-programs
	@$(SANITIZER_OPTIONS) $(MAKE) --no-print-directory VARIANT=asan unit store integration
	@$(SANITIZER_OPTIONS) $(MAKE) --no-print-directory VARIANT=tsan unit store

.PHONY: fuzz fuzz-run
fuzz: ## every fuzzer of tests/fuzz for SECONDS=30 (clang)
	@tools/install_packages.sh run lint
	@$(MAKE) --no-print-directory -j2 VARIANT=fuzz CC=clang fuzz-run
fuzz-run: $(FUZZERS)
	@tests/run_fuzzers.sh $(SECONDS) $(FUZZERS)

.PHONY: check-layers check-headers check-docs
check-layers: ## no include points down or sideways
	@tools/check_layers.sh
check-headers: ## every header compiles alone
	@CC='$(CC)' tools/check_headers.sh $(PKG_CFLAGS)
check-docs: $(PROGRAMS) ## every setting, route and dataset is documented
	@tools/install_packages.sh run test
	@tools/check_docs.sh $(B)

.PHONY: bench bench-programs
bench: ## measure; ends with lines "bench: NAME = VALUE"
	@tools/install_packages.sh run bench
	@$(MAKE) --no-print-directory DEV=0 -j2 bench-programs
	@BUILD_DIR='$(B)' $(PYTHON) bench/bench.py
bench-programs: $(PROGRAMS) $(BENCHES) $(PRELOADS) $(B)/tests/programs/fastcgi_load

# --- style -----------------------------------------------------------------------------------------

C_FILES = $(sort $(shell git ls-files '*.c' '*.h'))

# cppcheck: NULL is a pointer wherever we build, and its 2.10 cannot read __VA_OPT__ (a "syntax error").
.PHONY: lint format docs
lint: ## clang-tidy, cppcheck, shellcheck and pyflakes
	@tools/install_packages.sh run test lint
	clang-tidy --quiet $(filter %.c,$(filter-out tests/% bench/%,$(C_FILES))) -- $(filter-out -W%,$(OUR_CFLAGS))
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    $(addprefix --suppress=,missingIncludeSystem varFuncNullUB syntaxError) -I. -D_GNU_SOURCE lib jobs fcgi worker
	shellcheck $(sort $(shell git ls-files '*.sh') .ci/run)
	pyflakes3 $(shell git ls-files '*.py')
format: ## clang-format every C file
	clang-format -i $(C_FILES)
docs: $(B)/pnlcache-worker ## write what is generated: docs/settings.md, docs/datasets-table.md, docs/openapi.yaml's datasets, conf/pnlcache.conf.example
	@tools/install_packages.sh run test
	$< settings --markdown >docs/settings.md
	$< settings --example >conf/pnlcache.conf.example
	PNLCACHE_CONF=/dev/null DATASET_DIR=sql/datasets $< datasets --markdown >docs/datasets-table.md
	tools/make_openapi.sh $(B) >docs/openapi.yaml.new && mv docs/openapi.yaml.new docs/openapi.yaml

# --- installing --------------------------------------------------------------------------------------

INSTALLED = $(bindir)/pnlcache-worker $(libexecdir)/pnlcache/pnlcache.fcgi $(datadir) \
    $(sysconfdir)/pnlcache/pnlcache.conf.example $(mandir)/man8/pnlcache-worker.8 $(mandir)/man8/pnlcache.fcgi.8 \
    $(addprefix $(unitdir)/,$(notdir $(wildcard systemd/*.service systemd/*.socket systemd/*.timer)))

.PHONY: install uninstall
install: $(PROGRAMS) ## install under DESTDIR and prefix; starts nothing
	install -D -m 755 $(B)/pnlcache-worker $(DESTDIR)$(bindir)/pnlcache-worker
	install -D -m 755 $(B)/pnlcache.fcgi $(DESTDIR)$(libexecdir)/pnlcache/pnlcache.fcgi
	install -d $(addprefix $(DESTDIR),$(datadir)/sql/datasets $(datadir)/web $(datadir)/examples/webhooks $(datadir)/examples/travel/datasets $(sysconfdir)/pnlcache $(mandir)/man8 $(unitdir))
	install -m 644 sql/*.sql $(DESTDIR)$(datadir)/sql
	install -m 644 sql/datasets/*.sql $(DESTDIR)$(datadir)/sql/datasets
	install -m 755 sql/apply.sh $(DESTDIR)$(datadir)/sql
	install -m 644 web/* $(DESTDIR)$(datadir)/web
	ln -sf $(chart_js) $(DESTDIR)$(datadir)/web/chart.min.js
	install -m 644 conf/* systemd/*.conf $(DESTDIR)$(datadir)/examples
	install docs/examples/webhooks/* $(DESTDIR)$(datadir)/examples/webhooks
	install -m 644 docs/examples/travel/*.* $(DESTDIR)$(datadir)/examples/travel
	install -m 644 docs/examples/travel/datasets/* $(DESTDIR)$(datadir)/examples/travel/datasets
	install -m 644 conf/pnlcache.conf.example $(DESTDIR)$(sysconfdir)/pnlcache
	for name in pnlcache-worker.8 pnlcache.fcgi.8; do \
	    tools/man_page.sh $(B)/pnlcache-worker docs/$$name.in >$(DESTDIR)$(mandir)/man8/$$name || exit 1; done
	for unit in systemd/*.service systemd/*.socket systemd/*.timer; do \
	    sed -e 's|/usr/local/bin|$(bindir)|; s|/usr/local/libexec|$(libexecdir)|; s|/etc/pnlcache|$(sysconfdir)/pnlcache|' \
	        $$unit >$(DESTDIR)$(unitdir)/$${unit##*/} || exit 1; done
uninstall: ## remove what install put there; your pnlcache.conf stays
	rm -rf $(addprefix $(DESTDIR),$(INSTALLED))
	-rmdir $(DESTDIR)$(libexecdir)/pnlcache $(DESTDIR)$(sysconfdir)/pnlcache 2>/dev/null

.PHONY: help clean
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
clean: ## remove build/ (the data under STATE stays)
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
