# What a newcomer runs: `make demo` and `make test`. `make help` lists the rest.

GO       ?= go
# libvirt is loaded at run time, so labctl builds without libvirt-dev and validates labs on machines without libvirt.
TAGS     := libvirt_dlopen
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
LDFLAGS  := -s -w -X main.version=$(VERSION)

.PHONY: build
build: ## Build bin/labctl and bin/labctl-guest
	$(GO) build -tags $(TAGS) -trimpath -ldflags '$(LDFLAGS)' -o bin/labctl ./cmd/labctl
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/labctl-guest ./cmd/labctl-guest
