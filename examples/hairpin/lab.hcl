# A host reaches its own neighbour by the address that the world knows it by: the router turns the packets round.
#
#   laptop ──┐
#   10.0.0.10 ├── br_lan ── router ── br_wan
#   web ─────┘     10.0.0.1     203.0.113.2
#   10.0.0.80
#
#   labctl apply -var hairpin=false && labctl test -var hairpin=false     # and without

lab "hairpin" {
  description = "Inside hosts meet at their outside address"
}

variable "hairpin" {
  description = "Whether the router turns round what inside hosts send to its outside address"
  type        = bool
  default     = true
}

image "micro" {
  build = "micro"
}

bridge "br_wan" {
  link_local = []
}

bridge "br_lan" {
  link_local = []
}

vm "router" {
  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = bridge.br_wan
    addresses = ["203.0.113.2/24"]
  }
  interface "eth1" {
    bridge    = bridge.br_lan
    addresses = ["10.0.0.1/24"]
  }

  nat {
    type    = "full_cone"
    outside = "eth0"
    inside  = ["eth1"]
    hairpin = var.hairpin

    forward "web" {
      port    = 8080
      to      = "10.0.0.80"
      to_port = 80
    }
  }
}

vm "host" {
  for_each = { laptop = "10.0.0.10", web = "10.0.0.80" }

  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_lan
    addresses = ["${each.value}/24"]
  }
  route "default" {
    via = "10.0.0.1"
  }
}

check "web_by_its_outside_address" {
  tcp {
    from   = vm.host["laptop"]
    to     = { address = "203.0.113.2", port = 8080 }
    expect = var.hairpin ? "open" : "closed"
  }
}

check "web_by_its_own_address" {
  tcp {
    from = vm.host["laptop"]
    to   = vm.host["web"]
    port = 80
  }
}
