lab "x" {}
image "micro" {
  build = "micro"
}
nftables "f" {
  table "ip" "my filter" {
    chain "c" {
      policy = "drop"
      rules  = ["accept", ""]
    }
    set "s" {
    }
  }
}
vm "a" {
  image    = image.micro
  nftables = [nftables.f, "g"]
}
