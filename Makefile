# Copyhold.  `make help` lists the targets.
#
#	BUILD=DIR	where everything made goes (default: build)
#	CC=clang	another compiler
#	ASAN=1		AddressSanitizer and UBSan
#	COVER=1		counts the lines that the tests run
#	V=1		shows each command

BUILD	?= build
CFLAGS	?= -O2 -g
PREFIX	?= /usr/local
SEED	?= 1
FUZZ_SECONDS ?= 60

VERSION	:= $(shell cat VERSION)
PKGS	:= libpq sqlite3 jansson yaml-0.1 openssl libzip libcurl libevent_core libevent_extra libevent_openssl \
	libssh2 libgit2 libarchive
WARN	:= -Wall -Wextra -Wshadow -Wconversion -Werror
BASE	:= -D_GNU_SOURCE -std=c11 $(WARN) -I. -I$(BUILD)/gen -MMD -MP
BASE	+= -DCOPYHOLD_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS	:= $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lanl

ifdef ASAN
CFLAGS	:= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS	+= -fsanitize=address,undefined
else ifdef COVER
CFLAGS	:= -O0 -g --coverage
LDFLAGS	+= --coverage
else
HARDEN	:= -fstack-protector-strong -D_FORTIFY_SOURCE=2
LDFLAGS	+= -Wl,-z,relro,-z,now
endif
HARDEN	+= -fPIE -ffunction-sections
LDFLAGS	+= -pie

ROOMS	:= deployer region cdn compliance
DIRS	:= lib/base lib/adapters lib/core $(ROOMS) $(ROOMS:%=%/*) cli
SRCS	:= $(sort $(wildcard $(DIRS:%=%/*.c)))
SQLS	:= $(sort $(wildcard $(DIRS:%=%/*.sql)))
OBJS	:= $(SRCS:%.c=$(BUILD)/%.o)
SCRIPTS	:= deployer/look.sh deployer/prepare.sh deployer/leave.sh
GENS	:= $(SQLS:%=$(BUILD)/gen/%.h) $(BUILD)/gen/deployer/helper.sh.h $(SCRIPTS:%=$(BUILD)/gen/%.h)
HELPER	:= $(wildcard $(addprefix deployer/helper/,core.sh supervise.sh machine.sh postgres.sh service.sh look.sh main.sh))
LIB	:= $(BUILD)/libcopyhold.a
Q	:= $(if $(V),,@)
say	= @$(if $(findstring s,$(firstword -$(MAKEFLAGS))),:,printf '  %-5s %s\n' $(1) $(2))

UNIT	:= $(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c tests/pg/test_*.c tests/ssh/test_*.c))
TOOLS	:= $(sort $(wildcard tests/lib/*.c))
FUZZ	:= $(sort $(wildcard tests/fuzz/fuzz_*.c))
UNITS	:= $(foreach t,$(UNIT),$(BUILD)/tests/$(basename $(notdir $t)))
TOOLBIN	:= $(foreach t,$(TOOLS),$(BUILD)/tests/lib/$(basename $(notdir $t)))

.PHONY: all demo demo-stop test soak bench lint format asan fuzz cover install deb docs clean help unit prerequisites
.DELETE_ON_ERROR:
.SECONDARY:

all: prerequisites $(BUILD)/copyhold	## build copyhold

demo:		## build, start two private clusters, provision the quickstart tenants, show them
	BUILD=$(BUILD) tools/demo.sh start

demo-stop:	## stop the demo and remove what it made
	BUILD=$(BUILD) tools/demo.sh stop

test:		## install what is missing, build, run every test
	tools/deps.sh test
	$(MAKE) all unit
	BUILD=$(BUILD) tests/run.sh

soak:		## the long tests: undo at every boundary, thousands of kills (SEED=n)
	tools/deps.sh test
	$(MAKE) all unit
	BUILD=$(BUILD) SEED=$(SEED) tests/run.sh soak

bench: all	## measure the speed and print it as a table
	BUILD=$(BUILD) bench/run.sh

lint:		## check format, layers, banned functions, scripts, file lengths, dead code
	BUILD=$(BUILD) tools/lint.sh

format:		## rewrite the .c files as .clang-format says
	find lib $(ROOMS) cli tests -name '*.c' | xargs clang-format -i

asan:		## build copyhold and the unit tests with ASan and UBSan in BUILD/asan
	$(MAKE) ASAN=1 BUILD=$(BUILD)/asan all unit

fuzz: prerequisites	## run each fuzz target for FUZZ_SECONDS (needs clang)
	BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz.sh $(FUZZ)

cover:		## run every test and report the lines that they reach (needs gcovr)
	tools/deps.sh cover
	$(MAKE) COVER=1 BUILD=$(BUILD)/cover all unit
	BUILD=$(BUILD)/cover tests/run.sh
	gcovr --root . --exclude tests/ --object-directory $(BUILD)/cover $(BUILD)/cover

install: all	## install under PREFIX (default /usr/local; DESTDIR is respected)
	install -D -m 755 $(BUILD)/copyhold $(DESTDIR)$(PREFIX)/bin/copyhold
	install -d $(DESTDIR)$(PREFIX)/share/doc/copyhold $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -d $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 LICENSE NOTICE $(DESTDIR)$(PREFIX)/share/doc/copyhold
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in packaging/*.service; do \
		sed 's,/usr/bin/copyhold,$(PREFIX)/bin/copyhold,' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit; \
	done
	$(BUILD)/copyhold completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/copyhold
	$(BUILD)/copyhold completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_copyhold
	$(BUILD)/copyhold completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/copyhold.fish

deb: all	## make a Debian package in BUILD
	BUILD=$(BUILD) VERSION=$(VERSION) tools/deb.sh

docs: all	## write what the program says of itself: docs/manual.md, manifests/schema/copyhold-v1.json
	$(BUILD)/copyhold help --manual > docs/manual.md
	$(BUILD)/copyhold schema > manifests/schema/copyhold-v1.json

clean:		## remove everything that was built
	rm -rf $(BUILD)

help:		## this list
	@awk -F '##' '/^[a-z-]+:.*##/ { split($$1, t, ":"); printf "  %-10s %s\n", t[1], substr($$2, 2) }' Makefile

unit: prerequisites $(UNITS) $(TOOLBIN)

prerequisites:
	@for h in libpq-fe.h sqlite3.h jansson.h yaml.h openssl/evp.h zip.h curl/curl.h event2/http.h; do \
		echo "#include <$$h>" | $(CC) $$(pkg-config --cflags $(PKGS) 2>/dev/null) -E -x c -o /dev/null - 2>/dev/null || \
		{ echo "$$h is missing; run: tools/deps.sh build" >&2; exit 1; }; \
	done

$(BUILD)/copyhold: $(BUILD)/cli/main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Written anew: a member whose source is gone must not stay.
$(LIB): $(filter-out $(BUILD)/cli/main.o,$(OBJS)) $(BUILD)/sources
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

# Changes when the list of sources does.
$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(SRCS) $(SQLS)' | cmp -s - $@ || echo '$(SRCS) $(SQLS)' > $@
FORCE:

$(BUILD)/%.o: %.c VERSION | $(GENS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) $(HARDEN) $(BASE) -c -o $@ $<

# PostgreSQL's statements count $n, those of the catalogue (SQLite) count ?n.
$(BUILD)/gen/%.sql.h: %.sql tools/sql2c.awk
	@mkdir -p $(@D)
	$(call say,SQL,$<)
	$(Q)awk -v server=$(if $(filter lib/core/%,$<),lite,pg) -f tools/sql2c.awk $< > $@

# One text for hosts, as a C string.
$(BUILD)/gen/deployer/helper.sh.h: $(HELPER) tools/text2c.awk
	@mkdir -p $(@D)
	$(call say,SH,$@)
	$(Q)awk -v name=helper_text -f tools/text2c.awk $(HELPER) > $@

$(BUILD)/gen/deployer/%.sh.h: deployer/%.sh tools/text2c.awk
	@mkdir -p $(@D)
	$(call say,SH,$<)
	$(Q)awk -v name=$*_text -f tools/text2c.awk $< > $@

define test_rule
$(BUILD)/tests/$(2)$(basename $(notdir $(1))): $(BUILD)/$(1:.c=.o) $(LIB)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$< $(LIB) $$(LIBS) $(3)
endef
$(foreach t,$(UNIT),$(eval $(call test_rule,$t,,-lcmocka)))
$(foreach t,$(TOOLS),$(eval $(call test_rule,$t,lib/,)))

-include $(OBJS:.o=.d) $(UNIT:%.c=$(BUILD)/%.d) $(TOOLS:%.c=$(BUILD)/%.d)
