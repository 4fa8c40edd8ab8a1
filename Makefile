# What a newcomer runs: `make demo` and `make test`. `make help` lists the rest.

GO       ?= go
# libvirt is loaded at run time, so labctl builds without libvirt-dev and validates labs on machines without libvirt.
TAGS     := libvirt_dlopen
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
LDFLAGS  := -s -w -X main.version=$(VERSION)
LINT     := .cache/bin/golangci-lint
LINT_VERSION := v2.15.0
SUDO     := $(if $(filter-out 0,$(shell id -u)),sudo)
# Tests that need a lab host each get a throwaway one.
SANDBOX  := $(SUDO) $(CURDIR)/bin/labctl sandbox --
# Vetting is a part of lint, tests and their tags included.
GOTEST   := $(GO) test -vet=off -tags

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' | expand -t 14

.PHONY: deps
deps: ## Install the Debian packages that a lab host needs, those that are missing
	@scripts/packages.sh

.PHONY: build
build: ## Build bin/labctl and bin/labctl-guest
	$(GO) build -tags $(TAGS) -trimpath -ldflags '$(LDFLAGS)' -o bin/labctl ./cmd/labctl
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/labctl-guest ./cmd/labctl-guest

.PHONY: image
image: build alpine ## Make the micro image and the Debian one, and fetch what tests of guests need; kept from then on
	$(SUDO) bin/labctl image build micro
	$(SUDO) bin/labctl image build debian

.PHONY: alpine
alpine: .cache/alpine

# Parts of the guest like Alpine's that tests make.
.cache/alpine: scripts/alpine.sh
	scripts/alpine.sh $@
	@touch $@

.PHONY: demo
demo: deps build ## Raise the example lab on a throwaway host, test it, and take it down
	@$(SUDO) scripts/demo.sh

.PHONY: test
test: deps build image lint test-fast test-fuzz test-hosts ## Everything that CI runs

.PHONY: test-fast
test-fast: ## Tests that need neither root nor a lab host
	$(GOTEST) $(TAGS) -v ./...

.PHONY: test-race
test-race: ## The fast tests under the race detector
	$(GOTEST) $(TAGS) -race ./internal/... ./provider/... ./schema/...

.PHONY: test-sandbox
test-sandbox: build image ## Tests of the packages on a real libvirtd, systemd-networkd and nftables
	$(GOTEST) $(TAGS),sandbox -v -p 2 -timeout 15m -exec '$(SANDBOX)' $(HOSTED) ./provider/libvirt

# The server of the tests of labs that are elsewhere; it is not installed, and listens nowhere but in a throwaway host.
SSHD := .cache/sshd/sshd

$(SSHD): scripts/sshd.sh
	@scripts/sshd.sh $(@D)
	@touch $@

.PHONY: test-e2e
test-e2e: build image $(SSHD) ## Tests of the commands with real guests, from HCL to a punched hole
	$(GOTEST) $(TAGS),sandbox -v -timeout 40m -exec '$(SANDBOX)' ./cmd/labctl/...

# Both of these as CI runs them: two at a time, the longest first, each on a host of its own. A guest that boots keeps one
# processor busy at most, and a host that settles none.
LONG   := TestSandboxScripts TestDebian TestKilledAnywhere TestExamples TestNoPhantomDrift
SPEED  := TestScale
HOSTED  = $$($(GO) list ./internal/... ./provider/... ./schema/... ./cmd/labctl-guest/... | grep -v /provider/libvirt$$)
empty  :=
either  = ^($(subst $(empty) ,|,$(strip $(1))))$$

.PHONY: test-hosts
test-hosts: build image $(SSHD)
	$(GOTEST) $(TAGS),sandbox -c -o .cache/labctl.test ./cmd/labctl
	$(MAKE) --no-print-directory -k -j 2 --output-sync=target $(LONG:%=hosts-%) hosts-libvirt hosts-packages hosts-rest
	@# By themselves: they are held against libvirt's own speed.
	$(GOTEST) $(TAGS),sandbox -v -p 1 -run '$(call either,$(SPEED))' -exec '$(SANDBOX)' ./provider/libvirt ./cmd/labctl

.PHONY: $(LONG:%=hosts-%)
$(LONG:%=hosts-%): hosts-%:
	cd cmd/labctl && $(SANDBOX) ../../.cache/labctl.test -test.v -test.timeout 30m -test.run '^$*$$'

.PHONY: hosts-rest
hosts-rest:
	cd cmd/labctl && $(SANDBOX) ../../.cache/labctl.test -test.v -test.timeout 30m -test.skip '$(call either,$(LONG) $(SPEED))'

.PHONY: hosts-libvirt
hosts-libvirt:
	$(GOTEST) $(TAGS),sandbox -v -timeout 15m -skip '$(call either,$(SPEED))' -exec '$(SANDBOX)' ./provider/libvirt

.PHONY: hosts-packages
hosts-packages:
	$(GOTEST) $(TAGS),sandbox -v -p 1 -timeout 15m -exec '$(SANDBOX)' $(HOSTED)

.PHONY: test-debian
test-debian: ## Build a Debian with a package more, and boot it twice; takes minutes, and Debian's archive
	$(SUDO) $(GO) test -tags $(TAGS),debian -v -timeout 20m ./provider/image/...

.PHONY: bench
bench: build image ## Compare the speed and memory of apply, plan and destroy with libvirt's own, with 4 guests and with 1,000 machines
	$(GOTEST) $(TAGS),sandbox -run '^$$' -bench . -benchtime 1x -timeout 20m -exec '$(SANDBOX)' ./cmd/labctl/...

.PHONY: soak
soak: build image $(SSHD) ## Repeat the end-to-end tests, to find what fails seldom
	$(GOTEST) $(TAGS),sandbox -count $(or $(N),20) -timeout 4h -exec '$(SANDBOX)' ./cmd/labctl/...
	@# How time and memory grow from 1,000 machines to 5,000.
	$(GOTEST) $(TAGS),sandbox -run '^$$' -bench Scale -benchtime 1x -timeout 1h \
		-exec '$(SUDO) env LABCTL_TEST_SOAK=1 $(CURDIR)/bin/labctl sandbox --' ./cmd/labctl/...

.PHONY: test-fuzz
test-fuzz: ## Run each fuzz target for a short time
	@GO='$(GO)' TAGS='$(TAGS)' scripts/fuzz.sh 3s

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (default 60s), for the night
	@GO='$(GO)' TAGS='$(TAGS)' scripts/fuzz.sh $(or $(FUZZTIME),60s)

.PHONY: lint
lint: $(LINT) ## Static checks
	$(LINT) run ./...

$(LINT): Makefile
	GOBIN=$(CURDIR)/.cache/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@touch $@

# What is built is installed as it is: under sudo there is often no Go.
.PHONY: install
install: $(if $(wildcard bin/labctl-guest),,build) ## Install labctl and its guest helper under PREFIX (default /usr/local)
	install -D -m 755 bin/labctl $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/labctl
	install -D -m 755 bin/labctl-guest $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/labctl-guest

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .cache
