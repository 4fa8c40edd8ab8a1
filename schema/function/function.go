// Package function is the functions of the lab language. Nearly all of them are the published ones of the go-cty
// projects under the names that Terraform users know; only what belongs to labs is made here.
package function

import (
	"maps"

	yaml "github.com/zclconf/go-cty-yaml"

	"github.com/hashicorp/go-cty-funcs/cidr"
	"github.com/hashicorp/go-cty-funcs/collection"
	"github.com/hashicorp/go-cty-funcs/crypto"
	"github.com/hashicorp/go-cty-funcs/encoding"
	"github.com/hashicorp/go-cty-funcs/filesystem"
	"github.com/hashicorp/go-cty-funcs/uuid"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// All is every function by name. Relative paths are taken from dir.
func All(dir string) map[string]function.Function {
	all := pure()
	maps.Copy(all, files(dir))
	// A template may use every function but templatefile, so that no file includes itself.
	all["templatefile"] = templateFile(dir, maps.Clone(all))
	all["templatestring"] = templateString(maps.Clone(all))
	return all
}

func pure() map[string]function.Function {
	all := make(map[string]function.Function, 128)
	for _, group := range []map[string]function.Function{
		numbers(), texts(), collections(), encodings(), conversions(), hashes(), networks(),
	} {
		maps.Copy(all, group)
	}
	return all
}

func numbers() map[string]function.Function {
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
		"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc,
		"signum": stdlib.SignumFunc, "sum": sum(),
	}
}

func texts() map[string]function.Function {
	return map[string]function.Function{
		"chomp": stdlib.ChompFunc, "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc, "indent": stdlib.IndentFunc,
		"join": stdlib.JoinFunc, "lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
		"replace": replace(), "split": stdlib.SplitFunc, "startswith": startsWith(), "endswith": endsWith(),
		"strcontains": contains(), "strlen": stdlib.StrlenFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
		"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc,
		"trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc, "formatdate": stdlib.FormatDateFunc,
		"timeadd": stdlib.TimeAddFunc, "timecmp": timeCompare(),
	}
}

func collections() map[string]function.Function {
	return map[string]function.Function{
		"alltrue": allTrue(), "anytrue": anyTrue(), "chunklist": stdlib.ChunklistFunc, "coalesce": collection.CoalesceFunc,
		"coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc,
		"contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
		"flatten": stdlib.FlattenFunc, "index": index(), "keys": stdlib.KeysFunc, "length": length(),
		"lookup": lookup(), "matchkeys": matchKeys(), "merge": stdlib.MergeFunc, "one": one(), "range": stdlib.RangeFunc,
		"reverse": stdlib.ReverseListFunc, "setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc,
		"setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc,
		"transpose": transpose(), "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
	}
}

func encodings() map[string]function.Function {
	return map[string]function.Function{
		"base64decode": encoding.Base64DecodeFunc, "base64encode": encoding.Base64EncodeFunc, "base64gzip": base64Gzip(),
		"csvdecode": stdlib.CSVDecodeFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"textdecodebase64": textDecodeBase64(), "textencodebase64": textEncodeBase64(),
		"urldecode": urlDecode(), "urlencode": encoding.URLEncodeFunc, "yamldecode": yaml.YAMLDecodeFunc, "yamlencode": yaml.YAMLEncodeFunc,
	}
}

func conversions() map[string]function.Function {
	return map[string]function.Function{
		"can": tryfunc.CanFunc, "try": tryfunc.TryFunc, "type": typeOf(),
		"tobool": stdlib.MakeToFunc(cty.Bool), "tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tomap":     stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"sensitive": sensitive(), "nonsensitive": nonSensitive(), "issensitive": isSensitive(),
	}
}

func hashes() map[string]function.Function {
	return map[string]function.Function{
		"md5": crypto.Md5Func, "sha1": crypto.Sha1Func, "sha256": crypto.Sha256Func, "sha512": crypto.Sha512Func,
		"base64sha256": base64Hash(sha256Sum), "base64sha512": base64Hash(sha512Sum), "rsadecrypt": crypto.RsaDecryptFunc, "uuidv5": uuid.V5Func,
	}
}

func networks() map[string]function.Function {
	return map[string]function.Function{
		"cidrcontains": cidrContains(), "cidrhost": cidr.HostFunc, "cidrnetmask": cidr.NetmaskFunc, "cidrsubnet": cidr.SubnetFunc, "cidrsubnets": cidr.SubnetsFunc,
		"mac": mac(),
	}
}

func files(dir string) map[string]function.Function {
	return map[string]function.Function{
		"abspath": absPath(dir), "basename": filesystem.BasenameFunc, "dirname": filesystem.DirnameFunc,
		"file": filesystem.MakeFileFunc(dir, false), "filebase64": filesystem.MakeFileFunc(dir, true),
		"fileexists": filesystem.MakeFileExistsFunc(dir), "fileset": filesystem.MakeFileSetFunc(dir),
		"pathexpand": filesystem.PathExpandFunc,
		"filemd5":    fileHash(dir, md5Sum), "filesha1": fileHash(dir, sha1Sum), "filesha256": fileHash(dir, sha256Sum),
		"filesha512": fileHash(dir, sha512Sum), "filebase64sha256": base64FileHash(dir, sha256Sum),
		"filebase64sha512": base64FileHash(dir, sha512Sum),
	}
}
