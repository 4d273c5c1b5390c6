-- wrk: the paths given as arguments, in turns; a request id of its own for each.
local paths, n, id = {}, 0, 0

function init(args)
	for i = 1, #args do
		paths[i] = args[i]
	end
end

function request()
	n = n % #paths + 1
	id = id + 1
	if paths[n]:sub(1, 5) == "/ids/" then
		return wrk.format("GET", paths[n], {["x-request-id"] = "request-" .. id})
	end
	return wrk.format("GET", paths[n])
end
